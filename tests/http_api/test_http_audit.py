"""`GET /v1/audit`: all of it, a page at a time, for keys with `admin`."""

from __future__ import annotations

from http_house import house


async def test_pages_go_on_without_gap_or_repetition() -> None:
    async with house() as at:
        ann = await at.agent("Ann")
        for number in range(5):
            await at.clock.advance(seconds=1)
            await at.core.name_agent(ann.id, "desk", str(number), "key:k")
        whole = (await at.ask("/v1/audit?limit=200", scope="admin")).json()
        assert whole["more"] is False
        assert [entry["action"] for entry in whole["entries"]].count("agent.updated") >= 5
        seen, after = [], ""
        while True:
            page = (await at.ask(f"/v1/audit?limit=2{after}", scope="admin")).json()
            seen += page["entries"]
            after = f"&after={page['last']}"
            if not page["more"]:
                break
        assert seen == whole["entries"]
        nothing = (await at.ask(f"/v1/audit?after={page['last']}", scope="admin")).json()
        assert (nothing["entries"], nothing["last"], nothing["more"]) == ([], page["last"], False)
        await at.clock.advance(seconds=1)
        await at.core.name_agent(ann.id, "desk", None, "key:k")
        (new,) = (await at.ask(f"/v1/audit?after={page['last']}", scope="admin")).json()["entries"]
        assert (new["actor"], new["subject"], new["data"]) == ("key:k", ann.id, {})


async def test_of_one_agent_also_by_another_systems_name_and_when_removed() -> None:
    async with house() as at:
        ann, bob = await at.agent("Ann"), await at.agent("Bob")
        await at.core.name_agent(ann.id, "desk", "1", "key:k")
        by_name = (await at.ask("/v1/audit?agent=ext:desk:1", scope="admin")).json()
        await at.clock.advance(seconds=1)
        await at.core.remove(ann, f"agent:{bob.id}")
        by_id = (await at.ask(f"/v1/audit?agent={ann.id}", scope="admin")).json()
        assert by_id["entries"][: len(by_name["entries"])] == by_name["entries"]
        assert {entry["subject"] for entry in by_id["entries"]} == {ann.id}
        assert by_id["entries"][-1]["action"] == "agent.removed"
        assert by_id["entries"][-1]["actor"] == f"agent:{bob.id}"


async def test_keys_without_admin_and_unknown_names_are_refused() -> None:
    async with house() as at:
        for scope in ("read", "presence", "route"):
            assert (await at.ask("/v1/audit", scope=scope)).status_code == 403
        for name in ("agt_nobody", "ext:desk:9"):
            assert (await at.ask(f"/v1/audit?agent={name}", scope="admin")).status_code == 404
        for after in ("x", "MTp4", "MToyMDI2LTExLTAy"):
            refused = await at.ask(f"/v1/audit?after={after}", scope="admin")
            assert refused.status_code == 422
            assert refused.json()["errors"][0]["field"] == "after"
