"""The catalogue: query, answer in parts, notification of changes (A.2.1.2, A.2.4.3, A.2.6.4, Annex J)."""

from __future__ import annotations

from datetime import datetime

from gb28181.ids import DeviceId
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, Result, Status, block, child, children, command, extension


@command(Category.QUERY, "Catalog", clause="A.2.4.3")
class CatalogQuery:
    """Asks for all items below an identifier; the answer comes in any number of messages."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    start_time: datetime | None = child("StartTime", default=None)
    end_time: datetime | None = child("EndTime", default=None)
    extra_info: tuple[str, ...] = extension(default=())


@block
class ItemInfo:
    """The block `Info` of an item, 2016 and 2022; lists are written with "/" between their parts."""

    ptz_type: str | None = child("PTZType", default=None)
    position_type: int | None = child("PositionType", default=None, until=Edition.E2016)
    photoelectric_imaging_type: str | None = child("PhotoelectricImagingType", default=None, since=Edition.E2022)
    capture_position_type: str | None = child("CapturePositionType", default=None, since=Edition.E2022)
    room_type: int | None = child("RoomType", default=None)
    use_type: int | None = child("UseType", default=None, until=Edition.E2016)
    supply_light_type: int | None = child("SupplyLightType", default=None)
    direction_type: int | None = child("DirectionType", default=None)
    resolution: str | None = child("Resolution", default=None)
    stream_number_list: str | None = child("StreamNumberList", default=None, since=Edition.E2022)
    download_speed: str | None = child("DownloadSpeed", default=None)
    svc_space_support_mode: int | None = child("SVCSpaceSupportMode", default=None)
    svc_time_support_mode: int | None = child("SVCTimeSupportMode", default=None)
    ssvc_ratio_support_list: str | None = child("SSVCRatioSupportList", default=None, since=Edition.E2022)
    mobile_device_type: int | None = child("MobileDeviceType", default=None, since=Edition.E2022)
    horizontal_field_angle: float | None = child("HorizontalFieldAngle", default=None, since=Edition.E2022)
    vertical_field_angle: float | None = child("VerticalFieldAngle", default=None, since=Edition.E2022)
    max_view_distance: float | None = child("MaxViewDistance", default=None, since=Edition.E2022)
    grassroots_code: str | None = child("GrassrootsCode", default=None, since=Edition.E2022)
    point_type: int | None = child("PointType", default=None, since=Edition.E2022)
    point_common_name: str | None = child("PointCommonName", default=None, since=Edition.E2022)
    mac: str | None = child("MAC", default=None, since=Edition.E2022)
    function_type: str | None = child("FunctionType", default=None, since=Edition.E2022)
    encode_type: str | None = child("EncodeType", default=None, since=Edition.E2022)
    install_time: str | None = child("InstallTime", default=None, since=Edition.E2022)
    management_unit: str | None = child("ManagementUnit", default=None, since=Edition.E2022)
    contact_info: str | None = child("ContactInfo", default=None, since=Edition.E2022)
    record_save_days: int | None = child("RecordSaveDays", default=None, since=Edition.E2022)
    industrial_classification: str | None = child("IndustrialClassification", default=None, since=Edition.E2022)


@block
class CatalogItem:
    """A device, channel, civil division, system, business group or virtual organisation.

    The element Password is not declared: a camera's password is never kept, logged or passed on (W17).
    """

    device_id: DeviceId = child("DeviceID", required=True)
    event: str | None = child("Event", default=None)  # of a notification: ON OFF VLOST DEFECT ADD DEL UPDATE
    name: str | None = child("Name", default=None)
    manufacturer: str | None = child("Manufacturer", default=None)
    model: str | None = child("Model", default=None)
    owner: str | None = child("Owner", default=None, until=Edition.E2016)
    civil_code: str | None = child("CivilCode", default=None)
    block: str | None = child("Block", default=None)
    address: str | None = child("Address", default=None)
    parental: int | None = child("Parental", default=None)
    parent_id: str | None = child("ParentID", default=None)
    safety_way: int | None = child("SafetyWay", default=None, until=Edition.E2016)
    register_way: int | None = child("RegisterWay", default=None)
    security_level_code: str | None = child("SecurityLevelCode", default=None, since=Edition.E2022)
    cert_num: str | None = child("CertNum", default=None, until=Edition.E2016)
    certifiable: int | None = child("Certifiable", default=None, until=Edition.E2016)
    err_code: int | None = child("ErrCode", default=None, until=Edition.E2016)
    end_time: str | None = child("EndTime", default=None, until=Edition.E2016)
    secrecy: int | None = child("Secrecy", default=None)
    ip_address: str | None = child("IPAddress", default=None)
    port: int | None = child("Port", default=None)
    status: Status | None = child("Status", default=None)
    longitude: float | None = child("Longitude", default=None)
    latitude: float | None = child("Latitude", default=None)
    business_group_id: str | None = child("BusinessGroupID", default=None, also_in="Info", old_place="Info/Resolution")
    info: ItemInfo | None = child("Info", default=None, inline=True)


@command(Category.RESPONSE, "Catalog", clause="A.2.6.4")
class CatalogResponse:
    """One part of the answer.

    Args:
        sum_num: Number of items of the whole answer as announced; None where the peer did not say.
        result: Only in the bodies with which 2016 answers SUBSCRIBE and NOTIFY.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    result: Result | None = child("Result", default=None, until=Edition.E2016)
    sum_num: int | None = child("SumNum", default=None)
    items: tuple[CatalogItem, ...] = children("DeviceList", "Item", default=(), counted=True)
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.NOTIFY, "Catalog", clause="A.2.6.4, §9.11.4")
class CatalogNotify:
    """Items that were added, changed or removed, or changed their state."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    sum_num: int | None = child("SumNum", default=None)
    items: tuple[CatalogItem, ...] = children("DeviceList", "Item", default=(), counted=True)
    extra_info: tuple[str, ...] = extension(default=())
