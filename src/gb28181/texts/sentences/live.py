"""Why there is no picture: the stage that was reached, the likely cause, what to do; and what a running stream lacks."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    # The last stage that was reached when the time was up (session/diagnosis.py)
    "live.peer": ("device {device_id} at {address}", "设备 {device_id}（{address}）"),
    "live.port": ("port {port}", "端口 {port}"),
    "live.stuck.reserved": (
        "the INVITE could not be sent to {peer}: check the network to the device",
        "INVITE 无法发送到{peer}：请检查到设备的网络",
    ),
    "live.stuck.invited": (
        "{peer} did not answer the INVITE within {waited:.0f} s: the device may be asleep, overloaded or behind a NAT that "
        "has closed; check that its keepalives arrive and that it may send from its SIP port",
        "{peer}在 {waited:.0f} 秒内没有应答 INVITE：设备可能休眠、过载，或 NAT 映射已失效；"
        "请检查心跳是否正常，以及设备的 SIP 端口是否允许外发",
    ),
    "live.stuck.trying": (
        "{peer} acknowledged the INVITE but sent no final answer within {waited:.0f} s: its encoder may be busy; "
        "close other viewers of this channel on the device or restart it",
        "{peer}已受理 INVITE，但 {waited:.0f} 秒内没有最终应答：编码器可能忙；请关闭设备上此通道的其他取流客户端，或重启设备",
    ),
    "live.stuck.answered": (
        "{peer} accepted the INVITE but no {transport} media arrived at {media} within {waited:.0f} s: check the firewall for "
        "this port, and that the device can reach the address told to it (media.advertise)",
        "{peer}已接受 INVITE，但 {waited:.0f} 秒内{media} 没有收到 {transport} 媒体数据：请检查防火墙是否放行此端口，"
        "以及设备能否访问告知它的收流地址（media.advertise）",
    ),
    "live.stuck.unanswered": (
        "{peer} sends media but no answer to the INVITE that can be read came within {waited:.0f} s: look at its answer among "
        "its SIP messages; over TCP a wrong Content-Length hides it",
        "{peer}已发送媒体数据，但 {waited:.0f} 秒内没有收到可读的 INVITE 应答：请在 SIP 消息中查看其应答；"
        "TCP 方式下 Content-Length 有误会使应答无法读取",
    ),
    "live.stuck.doubtful": (
        "{peer} accepted the INVITE and no media arrived at {media} within {waited:.0f} s: {doubt}",
        "{peer}已接受 INVITE，但 {waited:.0f} 秒内{media} 没有收到媒体数据：{doubt}",
    ),
    "live.stuck.connected": (
        "{peer} opened its media connection to {media} but sent nothing within {waited:.0f} s: restart the channel's "
        "encoder on the device",
        "{peer}已与{media} 建立媒体连接，但 {waited:.0f} 秒内没有发送数据：请重启设备上此通道的编码",
    ),
    "live.stuck.first_rtp": (
        "RTP arrives at {media} but it holds no program stream after {waited:.0f} s ({note}): set the device's GB/T 28181 "
        "stream format to PS",
        "{media} 收到 RTP，但 {waited:.0f} 秒内没有 PS 流（{note}）：请在设备的国标（GB/T 28181）设置中把码流封装改为 PS",
    ),
    "live.stuck.first_ps": (
        "a program stream arrives but no key frame came within {waited:.0f} s ({note}): lower the key frame interval of the "
        "device, and switch its stream encryption off",
        "收到 PS 流，但 {waited:.0f} 秒内没有关键帧（{note}）：请减小设备的 I 帧间隔，并关闭码流加密",
    ),
    "live.stuck.first_key_frame": ("the stream runs", "码流正常"),
    "live.unknown_payload": ("unknown payload", "负载类型不明"),
    # Why media may never come after this answer (quirks Q89, Q90)
    "live.doubt.unreadable": (
        "its answer has no media description that can be read: look at the 200 OK among its SIP messages, and update its "
        "firmware",
        "设备的应答中没有可读的媒体描述（SDP）：请在 SIP 消息中查看 200 OK，并升级设备固件",
    ),
    "live.doubt.port_zero": (
        "its answer refuses the media (port 0): the channel has no picture, or the device serves no more streams",
        "设备应答的媒体端口为 0，即拒绝发送媒体：此通道没有视频，或设备的并发路数已满",
    ),
    "live.doubt.sound_alone": (
        "its answer names sound alone: the channel has no picture",
        "设备的应答只有音频：此通道没有视频",
    ),
    "live.doubt.says_tcp": (
        "its answer says TCP to an offer of UDP: set this device's media transport to TCP",
        "请求 UDP 而设备应答 TCP：请把此设备的媒体传输方式设为 TCP",
    ),
    "live.doubt.both_wait": (
        "its answer says a=setup:passive as ours does, so both wait: set this device's media transport to UDP",
        "设备的应答与本平台同为 a=setup:passive，双方都在等待对方连接：请把此设备的媒体传输方式设为 UDP",
    ),
    # A final answer other than 2xx
    "live.refused": ("{peer}: {said}: {meaning}", "{peer}：{said}：{meaning}"),
    "live.refused.answered": ("answered {status}", "应答 {status}"),
    "live.refused.400": (
        "the device found the INVITE malformed: check that its server ID and domain are ours",
        "设备认为 INVITE 格式有误：请检查设备上的服务器编号和域是否与本平台一致",
    ),
    "live.refused.403": (
        "the device forbids it: check its access list and that its server ID and domain are ours",
        "设备禁止取流：请检查设备的访问控制，以及设备上的服务器编号和域是否与本平台一致",
    ),
    "live.refused.404": (
        "the device knows no such channel: ask for its catalogue again",
        "设备没有这个通道：请重新查询目录",
    ),
    "live.refused.415": (
        "the device does not accept the offered media description",
        "设备不接受所提供的媒体描述",
    ),
    "live.refused.480": (
        "the channel is not available: it may be offline behind the device",
        "通道暂不可用：设备所接的摄像机可能离线",
    ),
    "live.refused.481": (
        "the device says the call does not exist: it may have been restarted, try again",
        "设备称呼叫不存在：设备可能重启过，请重试",
    ),
    "live.refused.486": (
        "the device serves no more streams of this channel: close other viewers on the device",
        "设备上此通道的并发路数已满：请关闭其他正在取流的客户端",
    ),
    "live.refused.487": ("the device cancelled the call", "设备取消了呼叫"),
    "live.refused.488": ("the device cannot serve the offered media", "设备无法提供所要求的媒体"),
    "live.refused.500": ("the device reports an internal error: restart it", "设备报告内部错误：请重启设备"),
    "live.refused.503": (
        "the device is overloaded: close other streams on it",
        "设备过载：请关闭设备上的其他码流",
    ),
    "live.refused.603": ("the device declines the call", "设备拒绝了呼叫"),
    "live.refused.other": ("the device refused the call", "设备拒绝了呼叫"),
    "live.no_transport": ("no transport was offered", "没有可用的媒体传输方式"),
    "live.avp_to_tcp": (
        "the device answered RTP/AVP to an offer of TCP",
        "请求 TCP 而设备应答 RTP/AVP（UDP）",
    ),
    "live.invite_answered": ("INVITE was answered {status} {reason}", "INVITE 被应答 {status} {reason}"),
    "live.invite_bare": ("INVITE was answered {status}", "INVITE 被应答 {status}"),
    # Other ends of an opening
    "live.ever_new_addresses": (
        "{peer} registers from ever new addresses",
        "{peer}不断从新的地址注册：请检查设备与平台之间的 NAT，或是否有多台设备使用同一编号",
    ),
    "live.nobody_waits": ("nobody waits for this picture any more", "已没有人等待此画面"),
    "live.closed_meanwhile": ("the stream was closed while it was opened", "码流在打开过程中被关闭"),
    "live.internal": ("internal error: {error}", "内部错误：{error}"),
    "live.ssrc_used_up": (
        "all 10,000 live SSRC values of this domain are in use: close streams or share the load",
        "本域 10,000 个实时 SSRC 已全部占用：请关闭部分码流，或分担到其他平台",
    ),
    # What a stream lacks, seen where it is received
    "stream.ts": (
        "sends MPEG-TS, not a program stream: it is not recorded",
        "设备发送的是 MPEG-TS，不是 PS 流：不会录像",
    ),
    "stream.es_h264": (
        "sends H.264 without a program stream: it is not recorded; set the camera to PS (GB/T 28181 C.1)",
        "设备发送的是 H.264 裸流，没有 PS 封装：不会录像；请把设备码流封装改为 PS（GB/T 28181 C.1）",
    ),
    "stream.es_h265": (
        "sends H.265 without a program stream: it is not recorded; set the camera to PS (GB/T 28181 C.1)",
        "设备发送的是 H.265 裸流，没有 PS 封装：不会录像；请把设备码流封装改为 PS（GB/T 28181 C.1）",
    ),
    "stream.sip": (
        "SIP arrives on the media port: the camera's SIP server port is set to a media port",
        "媒体端口收到 SIP 信令：设备上的 SIP 服务器端口误设成了媒体端口",
    ),
    "stream.beside": (
        "payload type {payload_type} beside the program stream is not recorded",
        "PS 流之外的负载类型 {payload_type} 不会录像",
    ),
    "stream.internal": ("internal error, see the log", "内部错误，请查看日志"),
    "stream.volume_slow": (
        "volume {volume} is too slow: what waits to be written has filled its pool",
        "存储 {volume} 写入太慢：待写数据已占满缓冲",
    ),
    "stream.no_volume": (
        "no recording volume can be written: {why}",
        "没有可写的录像存储：{why}",
    ),
    "stream.open_files": (
        "this process may open files for {streams} streams and no more: raise LimitNOFILE (systemd) or ulimit -n",
        "本进程可打开的文件数只够 {streams} 路流：请提高 LimitNOFILE（systemd）或 ulimit -n",
    ),
    "stream.no_port": (
        "no media port is free ({why}): widen media.ports, or check which program holds them",
        "没有空闲的媒体端口（{why}）：请扩大 media.ports 范围，或检查哪个程序占用了这些端口",
    ),
    "live.sessions_full": (
        "{mine} sessions are open, the most for one user (http.max_sessions_per_user): close some",
        "您已打开 {mine} 个会话，达到单用户上限（http.max_sessions_per_user）：请关闭一些",
    ),
    "live.session_foreign": (
        "this session was opened by somebody else: only an operator may touch it",
        "此会话由他人打开：只有操作员可以操作",
    ),
    "live.no_session": (
        "no session {session_id}: it was closed, or nobody watched it for {idle_s:.0f} s",
        "没有会话 {session_id}：已关闭，或 {idle_s:.0f} 秒无人观看",
    ),
    "live.ended": ("the stream has ended and did not come back", "码流已结束，没有恢复"),
    "live.no_ingest": (
        "no ingest process answers: see whether the server is starting or overloaded",
        "收流进程没有应答：请检查服务器是否正在启动或过载",
    ),
    "live.not_in_time": (
        "the camera's stream could not be opened in time: open it from the console or the API to see how far it came",
        "未能及时打开摄像机的码流：请从控制台或 API 打开，查看进行到哪一步",
    ),
    "live.not_ps": (
        "media arrives but is no program stream: the camera sends another format than GB/T 28181 asks for",
        "收到媒体数据，但不是 PS 流：摄像机发送的不是 GB/T 28181 要求的格式",
    ),
    "live.codec": (
        "the camera sends {codec}, which no browser shows: set it to H.264 or H.265",
        "摄像机发送 {codec}，浏览器无法显示：请改为 H.264 或 H.265",
    ),
    "live.no_parameter_sets": (
        "media arrives without parameter sets: switch stream encryption off in the camera",
        "收到媒体数据，但没有参数集：请在摄像机上关闭码流加密",
    ),
    "live.sound_only": (
        "the camera sends sound and no pictures: switch video on in its stream, or look whether the channel is one of sound",
        "摄像机只发送声音，没有图像：请在其码流中启用视频，或确认该通道是否为音频通道",
    ),
    "live.no_key_frame": (
        "media arrives but no key frame: shorten the camera's key frame interval",
        "收到媒体数据，但没有关键帧：请减小摄像机的 I 帧间隔",
    ),
    "stream.last_refusal": ("last refusal: {why}", "最近一次失败：{why}"),
    "stream.ports_used": ("all are in use", "全部在用"),
}
