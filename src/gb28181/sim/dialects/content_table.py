"""Dialects of what devices tell and do: catalogue, media, recordings, alarms."""

from __future__ import annotations

import re
from typing import Final

from gb28181.sim.dialects import bodies, rows
from gb28181.sim.dialects.dialect import Dialect, Trait, traits

_Y: Final = re.compile(r"^y=[^\r\n]*\r\n", re.MULTILINE)

CATALOG: Final = (
    Dialect(name="wrong-sumnum", rows="Q60", zh="SumNum 比实际多", en="SumNum too large", total=lambda total: total + 5),
    Dialect(
        name="small-sumnum", rows="Q60", zh="SumNum 比实际少", en="SumNum too small", total=lambda total: max(1, total - 1)
    ),
    Dialect(
        name="one-item-per-message",
        rows="Q61",
        zh="每条消息一个 Item, 不等应答连续发送",
        en="one Item a message, all at once",
        traits=traits(Trait.UNPACED),
        settings={"items_per_message": 1},
    ),
    Dialect(
        name="duplicate-ids", rows="Q63", zh="同一编码出现两次", en="each DeviceID twice, under two parents", items=rows.twice
    ),
    Dialect(
        name="same-channel-ids",
        rows="Q64",
        zh="通道编码是出厂默认值",
        en="factory channel codes, the same in each recorder",
        items=rows.factory_ids,
    ),
    Dialect(
        name="channel-is-device",
        rows="Q65",
        zh="通道编码等于设备编码",
        en="the channel has the device's code",
        items=rows.own_id,
    ),
    Dialect(name="empty-catalog", rows="Q66", zh="目录为空", en="a catalogue of nothing", items=rows.none),
    Dialect(
        name="no-catalog",
        rows="Q66",
        zh="不回答目录查询",
        en="the catalogue is never answered",
        traits=traits(Trait.NO_CATALOG),
    ),
    Dialect(
        name="bad-parent",
        rows="Q67",
        zh="ParentID 为自身/服务器/a/b/null/10 位/缺失",
        en="ParentID own, server's, a/b, null, 10 digits, missing",
        items=rows.parents("{own}", "{server}", "a/{device}", "null", "3402000000", None),
    ),
    Dialect(
        name="bad-civil-code",
        rows="Q68",
        zh="CivilCode 为空/地名/过长/末尾 00",
        en="CivilCode empty, a name, too long, ending with 00",
        items=rows.civil_codes("", "芜湖市", "340200000001", "340200", "34020000", "{parent}", "999999", None),
    ),
    Dialect(
        name="parents-last",
        rows="Q70",
        zh="子节点先于父节点, 父节点缺失",
        en="children before parents, parents that never come",
        items=rows.reversed_tree,
    ),
    Dialect(name="empty-slots", rows="Q72", zh="含未接入的空通道", en="slots in which no camera is", items=rows.empty_slots),
    Dialect(name="empty-names", rows="Q73", zh="名称为空", en="empty names", items=rows.field(name="")),
    Dialect(
        name="odd-codes", rows="Q25", zh="18 位或含字母的编码", en="codes of 18 digits or with letters", items=rows.short_codes
    ),
    Dialect(
        name="flapping-notify",
        rows="Q74",
        zh="通知里通道反复 OFF/VLOST/ON",
        en="NOTIFY tells OFF, VLOST and ON in turns",
        traits=traits(Trait.FLAPPING_NOTIFY),
    ),
    Dialect(
        name="notify-without-event",
        rows="Q75",
        zh="目录通知没有 Event",
        en="NOTIFY items without Event",
        traits=traits(Trait.NOTIFY_WITHOUT_EVENT),
    ),
    Dialect(
        name="no-subscription-state",
        rows="Q78",
        zh="订阅应答无 Expires, 通知无 Subscription-State",
        en="no Expires in 200 to SUBSCRIBE, no Subscription-State",
        traits=traits(Trait.NO_SUBSCRIPTION_STATE),
    ),
)

MEDIA: Final = (
    Dialect(name="ssrc-missing", rows="Q80", zh="应答没有 y=", en="no y= in the answer", sdp=lambda text: _Y.sub("", text)),
    Dialect(
        name="ssrc-other",
        rows="Q80",
        zh="应答的 y= 与请求不同, RTP 用应答的",
        en="another y= in the answer and in RTP",
        traits=traits(Trait.OTHER_SSRC),
    ),
    Dialect(
        name="ssrc-lies",
        rows="Q80",
        zh="RTP 的 SSRC 与 y= 不同",
        en="RTP has another SSRC than y=",
        traits=traits(Trait.OTHER_RTP_SSRC),
    ),
    Dialect(
        name="ssrc-nine-digits",
        rows="Q83",
        zh="y= 没有前导零",
        en="y= without leading zeros",
        sdp=lambda text: re.sub(r"(?m)^y=0+", "y=", text),
    ),
    Dialect(name="payload-type-98", rows="Q87", zh="PS 却用负载类型 98", en="PS under payload type 98", payload_type=98),
    Dialect(name="payload-type-100", rows="Q87", zh="PS 却用负载类型 100", en="PS under payload type 100", payload_type=100),
    Dialect(
        name="setup-missing",
        rows="Q89",
        zh="应答没有 a=setup",
        en="no a=setup in the answer",
        sdp=lambda text: re.sub(r"(?m)^a=(?:setup|connection):[^\r\n]*\r\n", "", text),
    ),
    Dialect(
        name="one-stream-only",
        rows="Q94",
        zh="第二路点播回 486",
        en="486 to a second stream of a channel",
        settings={"streams_per_channel": 1},
    ),
    Dialect(
        name="rings-first",
        rows="Q38",
        zh="200 之前先 180 并停顿",
        en="180 and a pause before 200",
        traits=traits(Trait.RINGS),
        settings={"answer_delay_s": 1.0},
    ),
)

FUNCTIONS: Final = (
    Dialect(
        name="records-wrong-sumnum",
        rows="Q150",
        zh="录像检索 SumNum 过大",
        en="SumNum of RecordInfo too large",
        total=lambda total: total + 3,
        settings={"recorded_hours": 4.0},
    ),
    Dialect(
        name="records-last-part-lost",
        rows="Q150",
        zh="录像检索缺最后一包",
        en="the last part of an answer is missing",
        traits=traits(Trait.LAST_PART_LOST),
        settings={"recorded_hours": 4.0},
    ),
    Dialect(
        name="records-empty-list",
        rows="Q150",
        zh="SumNum 大于 0 但列表为空",
        en="an empty RecordList though SumNum is above 0",
        text=bodies.empty_list,
        settings={"recorded_hours": 4.0},
    ),
    Dialect(
        name="alarm-by-message",
        rows="Q175",
        zh="已订阅仍用 MESSAGE 报警",
        en="alarms by MESSAGE though subscribed to",
        traits=traits(Trait.ALARM_BY_MESSAGE),
    ),
    Dialect(
        name="alarm-twice",
        rows="Q175",
        zh="报警用 MESSAGE 和 NOTIFY 各发一次",
        en="each alarm by MESSAGE and by NOTIFY",
        traits=traits(Trait.ALARM_TWICE),
    ),
    Dialect(
        name="position-as-alarm",
        rows="Q176",
        zh="位置作为报警方式 4 上报",
        en="positions as alarms of method 4",
        traits=traits(Trait.POSITION_AS_ALARM),
    ),
    Dialect(
        name="media-status-outside",
        rows="Q155",
        zh="121 用新的 Call-ID 和通道 From",
        en="MediaStatus outside the call, from the channel",
        traits=traits(Trait.MEDIA_STATUS_OUTSIDE),
        settings={"recorded_hours": 4.0},
    ),
    Dialect(
        name="media-status-twice",
        rows="Q155",
        zh="121 发送两次",
        en="MediaStatus two times",
        traits=traits(Trait.MEDIA_STATUS_TWICE),
        settings={"recorded_hours": 4.0},
    ),
    Dialect(
        name="media-status-missing",
        rows="Q155",
        zh="回放结束无 121, RTP 停止",
        en="no MediaStatus, RTP just stops",
        traits=traits(Trait.NO_MEDIA_STATUS),
        settings={"recorded_hours": 4.0},
    ),
    Dialect(
        name="bye-at-end",
        rows="Q155",
        zh="回放结束只发 BYE",
        en="BYE alone at the end of a recording",
        traits=traits(Trait.BYE_AT_END),
        settings={"recorded_hours": 4.0},
    ),
    Dialect(
        name="playback-endless",
        rows="Q155",
        zh="回放结束后继续发送",
        en="a recording goes on after its end",
        traits=traits(Trait.ENDLESS_PLAYBACK),
        settings={"recorded_hours": 4.0},
    ),
    Dialect(
        name="strict-cseq",
        rows="Q149b",
        zh="CSeq 不递增的 BYE 不被处理, 之后 INVITE 立即被 BYE",
        en="a BYE whose CSeq does not rise is ignored, later INVITEs end at once",
        traits=traits(Trait.STRICT_CSEQ),
        settings={"recorded_hours": 4.0},
    ),
    Dialect(
        name="scale-key-pictures",
        rows="Q158",
        zh="快放只发关键帧",
        en="only key pictures above normal speed",
        traits=traits(Trait.KEYS_ONLY),
        settings={"recorded_hours": 4.0},
    ),
    Dialect(
        name="scale-restamped",
        rows="Q158",
        zh="快放时间戳按实际时间",
        en="timestamps follow the wall clock at any speed",
        traits=traits(Trait.RESTAMPED),
        settings={"recorded_hours": 4.0},
    ),
)
