from __future__ import annotations

import ate
from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import SigningKey
from ate.mesh.stating import stating
from ate.trust.attest import HeadStatement

IDENTITY = SigningKey.generate(SeededEntropy(1))


async def test_a_statement_says_what_the_ledger_shows() -> None:
    state = stating(IDENTITY)
    async with ate.open("c", memory=True) as chain:
        ledger, view = chain._ledger, chain._ledger.view
        for answers, known in ((b"", b""), (b"no hash", b""), (bytes(32), bytes(32))):
            dio = chain.dio()
            dio.store({"n": 1})
            await dio.commit()
            said = HeadStatement.decode(state(ledger, answers))
            said.verify(IDENTITY.public)
            assert said.chain_id == view.trust.chain_id
            assert (said.size, said.root) == (view.frontier.size, view.frontier.root())
            assert (said.head, said.answers) == (view.head, known)
