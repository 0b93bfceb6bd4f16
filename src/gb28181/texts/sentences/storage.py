"""Volumes, files and the database."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "storage.statement": ("database {where} refused a statement: {said}", "数据库 {where} 拒绝了语句：{said}"),
    "storage.postgres": (
        "database {where} cannot be used: {said}. Check that PostgreSQL runs, that database.url is right and that its "
        "user may create tables",
        "数据库 {where} 无法使用：{said}。请检查 PostgreSQL 是否运行、database.url 是否正确、其用户能否建表",
    ),
    "storage.database_now": ("the database cannot be written now: {last_error}", "数据库目前无法写入：{last_error}"),
    "storage.rows_lost": (
        "{rows} rows could not be written before the end: {last_error}",
        "{rows} 行在停止前未能写入：{last_error}",
    ),
    "storage.row_refused": ("the database refuses {table} {key}: {said}", "数据库拒绝 {table} {key}：{said}"),
    "storage.rows_full": ("too many rows wait for the database", "等待写入数据库的数据过多"),
    "storage.away": (
        "recording volume {root} is not there any more, something else is in its place: mount the disk again. "
        "If it comes back as another device, restart the server",
        "录像存储卷 {root} 已不在，其位置上是别的文件系统：请重新挂载该磁盘；若设备号已变，请重启服务器",
    ),
    "storage.covered": (
        "another file system is mounted here now; mount the volume and restart",
        "此处现在挂载的是另一个文件系统；请挂载原来的存储卷后重启",
    ),
    "storage.not_mounted": (
        "recording volume {root} is not mounted: it used to be on a disk of its own, now nothing of it is there. Mount "
        "the disk; it is taken into use at once. If the recordings are to lie on this disk from now on, remove {root} "
        "from {path}.",
        "录像存储 {root} 未挂载：它原来在单独的磁盘上，现在其内容都不见了。请挂载该磁盘，挂载后立即启用；若今后录像就存放"
        "在当前磁盘，请从 {path} 中删除 {root}。",
    ),
    "storage.not_yet": ("does not answer yet", "尚未响应"),
    "storage.picture": ("the picture cannot be stored: {strerror}", "图片无法保存：{strerror}"),
    "storage.firmware_entry": ("the firmware cannot be entered: {strerror}", "固件无法登记：{strerror}"),
    "storage.firmware": ("the firmware cannot be stored: {strerror}", "固件无法保存：{strerror}"),
    "storage.volume": ("volume {root}: {strerror}", "存储 {root}：{strerror}"),
    "storage.foreign": (
        "recording volume {root} belongs to another server (instance {owner!r}, this one is {instance!r}). Give this "
        "server a folder of its own in recording.volumes; or, if the other server is gone for good and this one is to "
        "take over its recordings, remove {path}.",
        "录像存储 {root} 属于另一台服务器（实例 {owner!r}，本机为 {instance!r}）。请在 recording.volumes 中为本服务器指定"
        "单独的目录；若那台服务器已停用、由本机接管其录像，请删除 {path}。",
    ),
    "storage.unwritable": (
        "recording volume {root} cannot be written: {why}. Check that the disk is mounted, not read-only and not full, "
        "and that the server's user may write there.",
        "录像存储 {root} 无法写入：{why}。请检查磁盘是否已挂载、是否只读或已满，以及服务用户是否有写权限。",
    ),
    "storage.suspect": ("suspect", "疑似故障"),
    "storage.file": ("{path}: {fault}", "{path}：{fault}"),
    "storage.file_of": ("{path}{suffix}: {fault}", "{path}{suffix}：{fault}"),
    "storage.database_remedy": ("database {where}: {said}. {remedy}", "数据库 {where}：{said}。{remedy}"),
    "storage.database": ("database {where}: {said}", "数据库 {where}：{said}"),
    "storage.internal": ("internal error: {error}", "内部错误：{error}"),
    "storage.remedy.locked": (
        "Another program has the file open for writing: end it (another server, a backup, a database browser) and start again",
        "其他程序正在写此文件：请结束它（另一个服务、备份或数据库浏览工具）后重新启动",
    ),
    "storage.remedy.malformed": (
        "The file is damaged: put it aside and restore a backup, or `sqlite3 FILE .recover`; recordings are untouched",
        "文件已损坏：请移开它并恢复备份，或用 `sqlite3 FILE .recover` 修复；录像不受影响",
    ),
    "storage.remedy.not_a_database": (
        "The file is damaged or no database: put it aside and restore a backup; recordings are untouched",
        "文件已损坏或不是数据库：请移开它并恢复备份；录像不受影响",
    ),
    "storage.remedy.unable_to_open": (
        "Check that the folder exists and that this user may write there",
        "请检查目录是否存在，以及当前用户是否有写权限",
    ),
    "storage.remedy.readonly": (
        "This user may not write the file or its folder: correct the permissions",
        "当前用户不能写此文件或其目录：请改正权限",
    ),
    "storage.remedy.full": ("Free some space on the disk of the data folder", "请在数据目录所在磁盘上释放空间"),
    "storage.remedy.io": (
        "The disk of the data folder reports errors: check it (dmesg) and restore a backup on a good one",
        "数据目录所在磁盘报告错误：请检查磁盘（dmesg），并在完好的磁盘上恢复备份",
    ),
}
