"""What Discord knows of a person, in the core's words."""

from collections.abc import Sequence

import discord

from bot.ports import PersonKind, Profile


def profile_of(
    someone: discord.Member | discord.User,
    roles: Sequence[int],
    permissions: discord.Permissions | None = None,
) -> Profile:
    """Somebody's profile. `permissions` as Discord resolved them for this interaction; of a member they are
    computed if left out. `roles` are those whose holders may become agents by themselves."""
    member = someone if isinstance(someone, discord.Member) else None
    if permissions is None and member is not None:
        permissions = member.resolved_permissions or member.guild_permissions
    return Profile(
        external_id=str(someone.id),
        name=someone.display_name,
        avatar_url=someone.display_avatar.url,
        is_admin=permissions is not None and (permissions.manage_guild or permissions.administrator),
        may_enrol=member is not None and not member.bot and any(map(member.get_role, roles)),
        kind=PersonKind.BOT if someone.bot else PersonKind.MEMBER,
    )
