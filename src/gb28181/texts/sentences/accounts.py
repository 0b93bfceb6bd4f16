"""Logins, users and rights."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "accounts.needs_role": ("{username} is {role}, this needs {roles}", "{username} 的角色是 {role}，此操作需要 {roles}"),
    "accounts.password_length": (
        "a password has {shortest} to {longest} characters",
        "密码须为 {shortest} 至 {longest} 个字符",
    ),
    "accounts.password_is_name": ("the password must not be the user name", "密码不能与用户名相同"),
    "accounts.wrong": ("wrong user name or password", "用户名或密码不正确"),
    "accounts.login_over": ("this login is no longer valid: log in again", "登录已失效：请重新登录"),
    "accounts.no_user": (
        "no user {username!r}: choose one of GET /api/v1/users",
        "没有用户“{username}”：请在用户列表中选择（GET /api/v1/users）",
    ),
    "accounts.last_admin": (
        "{username} is the last administrator: make another user an administrator first",
        "{username} 是最后一名管理员：请先把另一用户设为管理员",
    ),
    "accounts.log_in": (
        "log in first: POST /api/v1/login, then send Authorization: Bearer <token>",
        "请先登录：POST /api/v1/login，再发送 Authorization: Bearer <token>",
    ),
    "accounts.token_malformed": ("the token is malformed: log in again", "令牌格式有误：请重新登录"),
    "accounts.login_expired": ("the login has expired: log in again", "登录已过期：请重新登录"),
    "accounts.logins_full": ("too many logins at once: try again in a few seconds", "同时登录的请求过多：请几秒后再试"),
    "accounts.users_full": (
        "there are {known} users, the most that this server keeps: delete one first",
        "已有 {known} 个用户，达到本服务器上限：请先删除一个",
    ),
    "accounts.user_exists": ("user {username} exists already", "用户 {username} 已存在"),
    "accounts.old_wrong": ("the old password is wrong", "当前密码不正确"),
    "accounts.new_is_old": ("the new password is the old one", "新密码与当前密码相同"),
    "accounts.token_foreign": (
        "the token is malformed or was signed by another server: log in again",
        "令牌格式有误，或由其他服务器签发：请重新登录",
    ),
    "accounts.too_many_requests": (
        "more than {per_s:g} requests a second (http.requests_per_s): ask less often",
        "每秒请求超过 {per_s:g} 次（http.requests_per_s）：请降低请求频率",
    ),
    "accounts.too_many_attempts": (
        "too many login attempts from this address: try again in {retry_after_s:.0f} s",
        "此地址登录尝试过多：请 {retry_after_s:.0f} 秒后再试",
    ),
    "accounts.bearer": ("the Authorization header must be: Bearer <token>", "Authorization 头域应为：Bearer <token>"),
    "accounts.user_name": (
        "a user name has no blanks at its ends, no slash and no control characters",
        "用户名首尾不能有空格，不能含斜杠和控制字符",
    ),
}
