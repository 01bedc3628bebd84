from tests.shared import *
from tests.simulation.test_offline import *
from ate.dio.forwarder import Forwarder
def test_dbg():
    async def main(world: World) -> None:
        device, chain = await offline(world)
        dao = await put(chain, "v0")
        other = await put(chain, "other")
        for n in range(1, 6):
            dio = chain.dio()
            mine = await dio.load(Note, dao.id)
            mine.value = Note(f"v{n}")
            await dio.commit(Durability.LOCAL)
        await device.kill(STYLES[3])
        world.start()
        from ate.mesh import replica
        import ate.dio.parking as pk
        orig=pk.Parking.ready
        for at in range(14):
            chain = await device.open()
            f=chain._remote.forwarder
            print("open", at, [(e.number,e.state,bool(e.work),e.lsn) for e in f.outbox.entries], chain.head, chain._remote.link.ledger.view.frontier.size, f._queue and [(t.entry,t.first, [d.base for d in t.drafts]) for t in f._queue])
            l=f.landed
            def landed(p,*a): print(" landed", p.entry, p.lsn, p.adopted, p.group[0].first); l(p,*a)
            f.landed=landed
            pa=f.passed
            def passed(p,*a): print(" passed", p.entry, p.lsn, p.adopted, p.group[0].first); pa(p,*a)
            f.passed=passed
            s=f._send
            def send(p): print(" send", p.entry,p.lsn, p.session, [d.base for d in p.drafts]); s(p)
            f._send=send
            fail=f._fail
            def ff(g,e): print(" fail", [t.entry for t in g], e); fail(g,e)
            f._fail=ff
            await world.loop.pause(0.003*at)
            if at==12: await chain.sync(); print(chain.conflicts, [(e.number,e.state,bool(e.work),e.lsn) for e in f.outbox.entries])
            await device.kill()
    play(main)
