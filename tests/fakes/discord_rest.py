"""The REST routes of a fake Discord that a presence bot uses, with the errors that Discord documents.

Follows https://docs.discord.com/developers (API v10), error codes from its page on opcodes and status codes.
Every body is checked; what Discord would refuse or what would ping somebody is also kept as a violation.
"""

from __future__ import annotations

import asyncio

from fakes import discord_limits as limits
from fakes.discord_calls import Call, Desk, Handler, Refused, require
from fakes.discord_chat import Chat
from fakes.discord_commands import check_commands
from fakes.discord_gateway import Gateway
from fakes.discord_interactions import ALLOWED_ANSWERS, ANSWER, CHOICES, DEFER, UPDATE, Interaction
from fakes.discord_limits import Form
from fakes.discord_model import EPHEMERAL, LOADING, Guild, Json, Message, User, snowflake


class Rest:
    """The routes, over the state that the gateway and the chat hold; `desk` is what takes the requests."""

    def __init__(self, gateway: Gateway, chat: Chat, users: dict[int, User]) -> None:
        self.gateway = gateway
        self.chat = chat
        self.bot = gateway.bot
        self.guilds: dict[int, Guild] = gateway.guilds
        self.users = users
        self.violations = gateway.violations
        self.answer_within = 3.0
        self.follow_up_within = 900.0
        self.interactions: dict[str, Interaction] = {}
        self.commands: dict[int | None, list[Json]] = {}
        routes: list[tuple[str, str, Handler]] = [
            ("GET", "/gateway", self._get_gateway),
            ("GET", "/gateway/bot", self._get_gateway_bot),
            ("GET", "/users/@me", self._get_me),
            ("GET", "/users/@me/guilds", self._get_my_guilds),
            ("GET", "/users/{user}", self._get_user),
            ("GET", "/applications/@me", self._get_application),
            ("GET", "/oauth2/applications/@me", self._get_application),
            ("GET", "/applications/{app}/commands", self._get_commands),
            ("PUT", "/applications/{app}/commands", self._put_commands),
            ("GET", "/applications/{app}/guilds/{guild}/commands", self._get_commands),
            ("PUT", "/applications/{app}/guilds/{guild}/commands", self._put_commands),
            ("POST", "/interactions/{interaction}/{token}/callback", self._post_callback),
            ("POST", "/webhooks/{app}/{token}", self._post_follow_up),
            ("GET", "/webhooks/{app}/{token}/messages/{message}", self._get_answer),
            ("PATCH", "/webhooks/{app}/{token}/messages/{message}", self._patch_answer),
            ("DELETE", "/webhooks/{app}/{token}/messages/{message}", self._delete_answer),
            ("POST", "/users/@me/channels", self._post_direct_channel),
            ("GET", "/channels/{channel}", self._get_channel),
            ("GET", "/channels/{channel}/messages", self._get_messages),
            ("POST", "/channels/{channel}/messages", self._post_message),
            ("GET", "/channels/{channel}/messages/{message}", self._get_message),
            ("PATCH", "/channels/{channel}/messages/{message}", self._patch_message),
            ("DELETE", "/channels/{channel}/messages/{message}", self._delete_message),
            ("GET", "/guilds/{guild}", self._get_guild),
            ("GET", "/guilds/{guild}/channels", self._get_guild_channels),
            ("GET", "/guilds/{guild}/roles", self._get_roles),
            ("GET", "/guilds/{guild}/members/{user}", self._get_member),
        ]
        self.desk = Desk(routes, self._authorized, self.violations, gateway.changed)

    def _authorized(self, header: str | None) -> bool:
        return header == f"Bot {self.gateway.token}" and not self.gateway.token_revoked

    # The app and its commands -----------------------------------------------------------------

    async def _get_gateway(self, call: Call) -> Json:
        return {"url": self.gateway.url}

    async def _get_gateway_bot(self, call: Call) -> Json:
        limit = {
            "total": self.gateway.starts_total,
            "remaining": self.gateway.starts_left,
            "reset_after": 86_400_000,
            "max_concurrency": 1,
        }
        return {"url": self.gateway.url, "shards": 1, "session_start_limit": limit}

    async def _get_me(self, call: Call) -> Json:
        return self.bot.payload() | {"verified": True, "mfa_enabled": False, "email": None, "flags": 0}

    async def _get_my_guilds(self, call: Call) -> list[Json]:
        mine = [one for one in self.guilds.values() if one.has_bot]
        return [{"id": str(one.id), "name": one.name} for one in mine][: int(call.query.get("limit", 200))]

    async def _get_user(self, call: Call, user: str) -> Json:
        if not user.isdigit() or int(user) not in self.users:
            raise Refused(404, 10013, "Unknown User")
        return self.users[int(user)].payload()

    async def _get_application(self, call: Call) -> Json:
        return {
            "id": str(self.bot.id),
            "name": self.bot.username,
            "icon": None,
            "description": "",
            "summary": "",
            "bot_public": True,
            "bot_require_code_grant": False,
            "verify_key": "0" * 64,
            "flags": 1 << 13 if self.gateway.allowed_intents & 1 << 8 else 0,
            "owner": self.bot.payload() | {"bot": False},
            "team": None,
            "bot": self.bot.payload(),
        }

    async def _get_commands(self, call: Call, app: str, guild: str | None = None) -> list[Json]:
        return self.commands.get(int(guild) if guild else None, [])

    async def _put_commands(self, call: Call, app: str, guild: str | None = None) -> list[Json]:
        guild_id = self._guild(guild).id if guild else None
        form = Form()
        commands = check_commands(form, call.body)
        require(call, form, self.violations)
        known = {command["name"]: command["id"] for command in self.commands.get(guild_id, [])}
        defaults = {
            "description": "",
            "type": 1,
            "nsfw": False,
            "default_member_permissions": None,
            "options": [],
        }
        self.commands[guild_id] = [
            defaults
            | command
            | {
                "id": known.get(command["name"], str(snowflake())),
                "application_id": app,
                "version": str(snowflake()),
                **({"guild_id": guild} if guild else {}),
            }
            for command in commands
        ]
        return self.commands[guild_id]

    # Interactions -----------------------------------------------------------------------------

    async def _post_callback(self, call: Call, interaction: str, token: str) -> Json | None:
        deed = self.interactions.get(token)
        waited = 0.0 if deed is None else asyncio.get_running_loop().time() - deed.began_at
        if deed is not None and deed.answer is not None:
            raise Refused(400, 40060, "Interaction has already been acknowledged.")
        if deed is None or str(deed.id) != interaction or deed.expired or waited > self.answer_within:
            raise Refused(404, 10062, "Unknown interaction")
        form = Form()
        body = form.record("", call.body, {"type", "data"})
        kind = body.get("type")
        if kind not in ALLOWED_ANSWERS[deed.type]:
            allowed = sorted(ALLOWED_ANSWERS[deed.type])
            form.wrong(
                "type", "BASE_TYPE_CHOICES", f"Value must be one of {allowed} (as far as this fake goes)."
            )
        data = body.get("data") or {}
        if kind == CHOICES:
            form.record("data", data, {"choices"})
            limits.check_choices(form, data.get("choices"), "data.choices")
        elif kind in (ANSWER, UPDATE):
            limits.check_message(form, data, limits.ANSWER_FIELDS, "data")
        elif kind == DEFER:
            form.record("data", data, {"flags"})
        require(call, form, self.violations)
        self.chat.check_said(call, data, creates=kind == ANSWER)
        deed.answer, deed.answered_after = kind, waited
        if kind == CHOICES:
            deed.choices = data["choices"] or []
        elif kind == ANSWER:
            deed.original = self._answer_message(call, deed, data, data.get("flags", 0))
        elif kind == DEFER:
            deed.loading, deed.deferred_flags = True, data.get("flags", 0) & EPHEMERAL
            deed.original = self._answer_message(call, deed, {}, deed.deferred_flags | LOADING)
        else:
            deed.original = deed.source
            if kind == UPDATE and deed.original is not None:
                self.chat.edit(deed.original, data, call.files)
        if kind in (ANSWER, UPDATE, CHOICES):
            deed.shown += 1
        if call.query.get("with_response") not in ("1", "true"):
            return None
        summary: Json = {"id": str(deed.id), "type": deed.type}
        resource: Json = {"type": kind}
        if deed.original is not None:
            summary["response_message_id"] = str(deed.original.id)
            summary["response_message_loading"] = deed.loading
            summary["response_message_ephemeral"] = deed.original.ephemeral
        if kind in (ANSWER, UPDATE) and deed.original is not None:
            resource["message"] = deed.original.payload()
        return {"interaction": summary, "resource": resource}

    def _deed(self, token: str) -> Interaction:
        """The answered interaction behind a webhook token."""
        deed = self.interactions.get(token)
        now = asyncio.get_running_loop().time()
        if deed is not None and (deed.expired or now - deed.began_at > self.follow_up_within):
            raise Refused(401, 50027, "Invalid Webhook Token")
        if deed is None or deed.answer is None:
            raise Refused(404, 10015, "Unknown Webhook")
        return deed

    def _answer_of(self, deed: Interaction, message: str) -> Message:
        if message == "@original":
            found = deed.original
        else:
            found = next((m for m in [deed.original, *deed.follow_ups] if m and str(m.id) == message), None)
        if found is None or found.deleted:
            raise Refused(404, 10008, "Unknown Message")
        return found

    async def _post_follow_up(self, call: Call, app: str, token: str) -> Json:
        deed = self._deed(token)
        body = self.chat.check(call, limits.FOLLOW_UP_FIELDS)
        if deed.loading and deed.original is not None:
            # The first follow-up takes the place of "… is thinking".
            self._fill(call, deed, deed.original, body)
            return deed.original.payload()
        message = self._answer_message(call, deed, body, body.get("flags", 0))
        deed.follow_ups.append(message)
        deed.shown += 1
        return message.payload()

    async def _get_answer(self, call: Call, app: str, token: str, message: str) -> Json:
        return self._answer_of(self._deed(token), message).payload()

    async def _patch_answer(self, call: Call, app: str, token: str, message: str) -> Json:
        deed = self._deed(token)
        found = self._answer_of(deed, message)
        body = self.chat.check(call, limits.EDIT_FIELDS, creates=False)
        self._fill(call, deed, found, body)
        return found.payload()

    async def _delete_answer(self, call: Call, app: str, token: str, message: str) -> None:
        deed = self._deed(token)
        found = self._answer_of(deed, message)
        self.chat.remove(found)
        deed.loading = False
        deed.shown += 1

    def _fill(self, call: Call, deed: Interaction, message: Message, body: Json) -> None:
        if deed.loading and message is deed.original:
            deed.loading = False
            message.flags &= ~LOADING
        self.chat.edit(message, body, call.files)
        deed.shown += 1

    def _answer_message(self, call: Call, deed: Interaction, body: Json, flags: int) -> Message:
        return self.chat.say(deed.channel, body, call.files, flags=flags, about=deed.metadata())

    # Channels and messages --------------------------------------------------------------------

    async def _post_direct_channel(self, call: Call) -> Json:
        form = Form()
        body = form.record("", call.body, {"recipient_id"})
        require(call, form, self.violations)
        user = self.users.get(int(body.get("recipient_id", 0)))
        if user is None or user.bot:
            raise Refused(400, 50033, "Invalid Recipient(s)")
        return self.chat.direct_channel(user).payload()

    async def _get_channel(self, call: Call, channel: str) -> Json:
        return self.chat.channel(channel).payload()

    async def _get_messages(self, call: Call, channel: str) -> list[Json]:
        form = Form()
        form.record("", call.query, {"limit", "before", "after"})
        limit = int(call.query.get("limit", 50))
        if not 1 <= limit <= 100:
            form.wrong("limit", "NUMBER_TYPE_RANGE", "int value should be between 1 and 100.")
        require(call, form, self.violations)
        before, after = int(call.query.get("before", 1 << 63)), int(call.query.get("after", 0))
        found = [m for m in self.chat.channel(channel).messages if after < m.id < before]
        return [m.payload() for m in (found[:limit] if after else found[-limit:])[::-1]]

    async def _get_message(self, call: Call, channel: str, message: str) -> Json:
        return self.chat.message(self.chat.channel(channel), message).payload()

    async def _post_message(self, call: Call, channel: str) -> Json:
        where = self.chat.channel(channel, to_write=True)
        body = self.chat.check(call, limits.CREATE_FIELDS)
        return self.chat.say_once(where, body, call.files).payload()

    async def _patch_message(self, call: Call, channel: str, message: str) -> Json:
        found = self.chat.message(self.chat.channel(channel), message)
        self.chat.edit(found, self.chat.check(call, limits.EDIT_FIELDS, creates=False), call.files)
        return found.payload()

    async def _delete_message(self, call: Call, channel: str, message: str) -> None:
        self.chat.remove(self.chat.message(self.chat.channel(channel), message))

    # Guilds -----------------------------------------------------------------------------------

    def _guild(self, guild: str) -> Guild:
        found = self.guilds.get(int(guild)) if guild.isdigit() else None
        if found is None:
            raise Refused(404, 10004, "Unknown Guild")
        if not found.has_bot:
            raise Refused(403, 50001, "Missing Access")
        return found

    async def _get_guild(self, call: Call, guild: str) -> Json:
        found = self._guild(guild)
        counts: Json = {}
        if call.query.get("with_counts") in ("1", "true"):
            seen = [i for i in found.members if found.seen_status(i) != "offline"]
            counts = {"approximate_member_count": found.member_count, "approximate_presence_count": len(seen)}
        return found.payload() | counts

    async def _get_guild_channels(self, call: Call, guild: str) -> list[Json]:
        return [channel.payload() for channel in self._guild(guild).channels.values()]

    async def _get_roles(self, call: Call, guild: str) -> list[Json]:
        return [role.payload() for role in self._guild(guild).roles.values()]

    async def _get_member(self, call: Call, guild: str, user: str) -> Json:
        found = self._guild(guild).members.get(int(user)) if user.isdigit() else None
        if found is None:
            raise Refused(404, 10007, "Unknown Member")
        return found.payload()
