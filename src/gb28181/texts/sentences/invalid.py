"""What pydantic finds in a query or a body, by its own names of faults; the English words are its own."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "invalid.missing": ("Field required", "必填"),
    "invalid.extra_forbidden": ("Extra inputs are not permitted", "没有此字段"),
    "invalid.int_parsing": ("Input should be a valid integer, unable to parse string as an integer", "应为整数"),
    "invalid.int_type": ("Input should be a valid integer", "应为整数"),
    "invalid.int_from_float": (
        "Input should be a valid integer, got a number with a fractional part",
        "应为整数，不能有小数",
    ),
    "invalid.float_parsing": ("Input should be a valid number, unable to parse string as a number", "应为数字"),
    "invalid.float_type": ("Input should be a valid number", "应为数字"),
    "invalid.finite_number": ("Input should be a finite number", "应为有限的数字"),
    "invalid.bool_parsing": ("Input should be a valid boolean, unable to interpret input", "应为 true 或 false"),
    "invalid.bool_type": ("Input should be a valid boolean", "应为 true 或 false"),
    "invalid.string_type": ("Input should be a valid string", "应为文本"),
    "invalid.string_unicode": (
        "Input should be a valid string, unable to parse raw data as a unicode string",
        "应为 UTF-8 文本",
    ),
    "invalid.string_too_short": ("String should have at least {min_length} characters", "至少 {min_length} 个字符"),
    "invalid.string_too_long": ("String should have at most {max_length} characters", "最多 {max_length} 个字符"),
    "invalid.string_pattern_mismatch": ("String should match pattern '{pattern}'", "应符合格式 {pattern}"),
    "invalid.greater_than": ("Input should be greater than {gt}", "应大于 {gt}"),
    "invalid.greater_than_equal": ("Input should be greater than or equal to {ge}", "应不小于 {ge}"),
    "invalid.less_than": ("Input should be less than {lt}", "应小于 {lt}"),
    "invalid.less_than_equal": ("Input should be less than or equal to {le}", "应不大于 {le}"),
    "invalid.literal_error": ("Input should be {expected}", "应为以下之一：{expected}"),
    "invalid.enum": ("Input should be {expected}", "应为以下之一：{expected}"),
    "invalid.list_type": ("Input should be a valid list", "应为列表"),
    "invalid.dict_type": ("Input should be a valid dictionary", "应为 JSON 对象"),
    "invalid.model_type": ("Input should be an object", "应为 JSON 对象"),
    "invalid.model_attributes_type": (
        "Input should be a valid dictionary or object to extract fields from",
        "应为 JSON 对象",
    ),
    "invalid.too_short": (
        "List should have at least {min_length} items, not {actual_length}",
        "至少 {min_length} 项，实为 {actual_length} 项",
    ),
    "invalid.too_long": (
        "List should have at most {max_length} items, not {actual_length}",
        "最多 {max_length} 项，实为 {actual_length} 项",
    ),
    "invalid.union_tag_invalid": (
        "Input tag '{tag}' found using {discriminator} does not match any of the expected tags: {expected_tags}",
        "{discriminator} 为“{tag}”，应为以下之一：{expected_tags}",
    ),
    "invalid.union_tag_not_found": ("Unable to extract tag using discriminator {discriminator}", "须给出 {discriminator}"),
    "invalid.json_invalid": ("Invalid JSON: {error}", "不是有效的 JSON：{error}"),
}
