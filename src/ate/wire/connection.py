"""One end of a connection as a state machine of bytes and time; it owns no socket and no clock.

    frames in → `receive` → messages          messages → `send` → `outgoing` → frames out
    time      → `tick`    → pings, or TimedOut

`TRANSITIONS` in `ate.wire.states` is the whole machine, `MAY_SEND` says who may say what.
"""

from __future__ import annotations

from ate import limits
from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.sign import SigningKey
from ate.errors import (
    AteError,
    Disconnected,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    TimedOut,
    TrustError,
    UnsupportedFormat,
    UsageError,
)
from ate.wire.codec import Addressed, Buffer, Codec, Sendable, Shared
from ate.wire.failure import clean, error_of
from ate.wire.frame import HELLO, MORE, PROOF, SEALED, Joiner, flags_of
from ate.wire.handshake import Handshake, versions_differ
from ate.wire.message import (
    EITHER,
    FROM_CLIENT,
    FROM_SERVER,
    AnyMessage,
    Bye,
    More,
    Ping,
    Pong,
    Records,
)
from ate.wire.outbound import ARRAY_BYTES, Outbound
from ate.wire.states import MAY_SEND, NOTHING, TRANSITIONS, Event, State
from ate.wire.terms import SERVER_ID_BYTES, PeerSession, Role, Terms, Trust

__all__ = ["Connection", "Event", "PeerSession", "Shared", "State", "Terms"]


class Connection:
    """One end of a connection.

    Args:
        role: "client", who starts, or "server".
        path: of the service that a client wants.
        identity: a key that this end proves to hold.
        trust: judges the peer's proved key, None when it shows none; raises a TrustError to refuse.
            Without it everybody is welcome: encryption then keeps listeners out, and nobody who
            stands in the middle.
        terms: what this end offers and bears.
        server_id: a server's 16 bytes.
        agent: what this end calls itself.
        entropy: of nonces and of keys for one connection.
    """

    def __init__(
        self,
        role: Role,
        *,
        path: str = "/",
        identity: SigningKey | None = None,
        trust: Trust | None = None,
        terms: Terms | None = None,
        server_id: bytes = b"",
        agent: str = "",
        entropy: Entropy = system_entropy,
    ) -> None:
        if len(server_id) not in (0, SERVER_ID_BYTES):
            raise UsageError(f"a server id has {SERVER_ID_BYTES} bytes")
        if len(path) > 1024 or len(agent) > 256:
            raise UsageError("a path has at most 1024 characters, an agent 256")
        self.role, self.terms, self.state = role, terms or Terms(), State.IDLE
        #: What the peer has proved; None before the connection is ready.
        self.peer: PeerSession | None = None
        own = PeerSession(agent=agent, path=path, server_id=server_id)
        self._shake = Handshake(
            role, self.terms, identity=identity, trust=trust, entropy=entropy, own=own
        )
        self._peer_role: Role = "client" if role == "server" else "server"
        self._hears = frozenset(FROM_CLIENT if role == "server" else FROM_SERVER)
        #: Bytes of the longest frame that is taken now: what a transport should refuse unread.
        self.frame_bound = limits.HELLO_BYTES_MAX
        self._joiner = Joiner(limits.HELLO_BYTES_MAX)
        self._out = Outbound(self._shake.codec)
        self._started_s = self._heard_s = self._pinged_s = 0.0
        self._pings = 0
        self._unanswered: set[int] = set()
        self._pongs = 0
        self._end: AteError | None = None
        self._is_end_said = False

    def __repr__(self) -> str:
        return f"Connection({self.role}, {self.state.value})"

    @property
    def is_ready(self) -> bool:
        return self.state is State.READY

    @property
    def is_closed(self) -> bool:
        return self.state is State.CLOSED

    @property
    def ended_well(self) -> bool:
        """Whether the end was said and not an error; a cut never looks like this."""
        return self._is_end_said

    # --- what comes in --------------------------------------------------------------------------

    def start(self, now_s: float) -> None:
        """Begin: a client's hello is queued, a server's patience starts.

        Raises:
            LocalProtocolError: it was started before.
        """
        self._go(Event.START)
        self._started_s = self._heard_s = now_s
        if self.role == "client":
            self._out.hello(self._shake.hello())

    def receive(self, frame: Buffer, now_s: float) -> list[AnyMessage]:
        """Take a frame; return the messages that are complete now, in order.

        Pings are answered inside. A Bye is not returned: afterwards `is_closed` is true and `lost`
        says why. What comes after the end is dropped.

        Raises:
            AteError: the peer broke the protocol, is not trusted or tampered with. The end is
                CLOSED then, and a Bye with the reason is queued: write `outgoing`, then hang up.
        """
        if self.state is State.CLOSED:
            return []
        if self.state is State.IDLE:
            self.start(now_s)
        self._heard_s = now_s
        try:
            return self._take(frame)
        except RemoteProtocolError as error:
            self._fail(error)
            raise
        except ProtocolError as error:
            remote = RemoteProtocolError(error.message, hint=error.hint)
            self._fail(remote)
            raise remote from None
        except AteError as error:
            self._fail(error)
            raise
        except BaseException:
            self._fail(TrustError("the peer could not be judged"))
            raise

    def _take(self, frame: Buffer) -> list[AnyMessage]:
        if len(frame) > self.frame_bound:
            raise RemoteProtocolError(
                f"a frame of {len(frame)} bytes, the limit is {self.frame_bound}"
            )
        flags = flags_of(frame)
        if flags & MORE and self.state is not State.READY:
            # A piece in clear must not become the beginning of a sealed message.
            raise RemoteProtocolError("a message is cut before both ends are known")
        if flags & HELLO:
            self._take_hello(frame)
            return []
        plain: Buffer
        if self._shake.receiving is not None:
            if not flags & SEALED:
                raise TrustError(
                    "a frame in clear on an encrypted connection",
                    hint="somebody between the ends may have put it there",
                )
            plain = self._shake.receiving.open(frame)
        elif flags & SEALED:
            raise RemoteProtocolError("a sealed frame on a connection that is not encrypted")
        else:
            plain = memoryview(frame)[1:]
        if flags & PROOF:
            self._take_proof(plain)
            return []
        whole = self._joiner.add(plain, more=bool(flags & MORE))
        if whole is None:
            return []
        codec = self._shake.codec
        if self.state is State.HELLO:  # a refusal, in the format of the peer
            codec = Codec("json" if bytes(whole[:1]) == b"[" else "msgpack")
        return self._heard(codec.decode(whole))

    def _take_hello(self, frame: Buffer) -> None:
        self._go(Event.HELLO, theirs=True)
        if self.role == "client":
            self._shake.answered(frame)
            self._out.keyed(self._shake.codec, self._shake.sending)
        else:
            self._out.hello(self._shake.answer(frame))
            self._out.keyed(self._shake.codec, self._shake.sending)
            self._out.proof(self._shake.prove())

    def _take_proof(self, plain: Buffer) -> None:
        if self.state is not State.PROOF:
            raise RemoteProtocolError(f"a proof came, and this end {self.state.value}")
        peer = self._shake.check(plain)
        if self.role == "client":
            self._out.proof(self._shake.prove())
        self.peer = peer
        self.frame_bound, self._joiner.bound = peer.frame_max, peer.message_max
        self._out.agreed(frame_max=peer.frame_max, message_max=peer.message_max)
        self._go(Event.PROOF)

    def _heard(self, messages: list[AnyMessage]) -> list[AnyMessage]:
        allowed = MAY_SEND.get((self._peer_role, self.state), NOTHING)
        heard: list[AnyMessage] = []
        for at, message in enumerate(messages, 1):
            kind = type(message)
            if kind not in allowed:
                raise RemoteProtocolError(
                    f"a {self._peer_role} does not say {kind.__name__} to an end that "
                    f"{self.state.value}"
                )
            if kind in self._hears:
                heard.append(message)
            elif isinstance(message, Ping):
                self._answer(message)
            elif isinstance(message, Pong):
                if message.number not in self._unanswered:
                    raise RemoteProtocolError("a Pong without a Ping")
                self._unanswered.remove(message.number)
            elif isinstance(message, Bye):
                if at < len(messages):
                    raise RemoteProtocolError("something comes after the Bye")
                self._told(message)
                return heard
        return heard

    def _answer(self, ping: Ping) -> None:
        self._pongs += 1
        if self._pongs > limits.PINGS_MAX:
            raise RemoteProtocolError(f"more than {limits.PINGS_MAX} pings without an answer")
        self._out.add(self._shake.codec.encode_one(Pong(ping.number)))

    def _told(self, bye: Bye) -> None:
        # Before both are known anybody could have said it.
        self._is_end_said = not bye.code and self.state is State.READY
        self._go(Event.BYE)
        if not bye.code:
            self._end = Disconnected("the peer has closed the connection")
            return
        versions, hint = bye.more.get("versions"), bye.more.get("hint")
        theirs = [one for one in versions if type(one) is int] if type(versions) is list else []
        if theirs:
            self._end = versions_differ(list(self.terms.versions), theirs)
        else:
            text = f"the {self._peer_role} says: {bye.text}"
            self._end = error_of(bye.code, text, hint if isinstance(hint, str) else "")

    # --- what goes out --------------------------------------------------------------------------

    def send(self, *messages: Sendable) -> None:
        """Queue messages; they leave with the next `outgoing`, in order.

        Raises:
            LocalProtocolError: this end may not say that now, or it is too large for the peer.
                Nothing of the call is queued then.
        """
        allowed = MAY_SEND.get((self.role, self.state), NOTHING)
        codec, encoded = self._shake.codec, []
        for message in messages:
            kind = Records if isinstance(message, Addressed) else type(message)
            if kind not in allowed or kind in EITHER:
                raise LocalProtocolError(
                    f"a {self.role} that {self.state.value} does not send {kind.__name__}"
                )
            try:
                first, second = codec.encode_one(message)
                if len(first) + len(second) > limits.UNCOUNTED_BYTES_MAX:
                    codec.check_items(second or first)
            except ProtocolError as error:
                raise LocalProtocolError(error.message) from None
            size = len(first) + len(second) + ARRAY_BYTES
            if size > self._out.message_max:
                raise LocalProtocolError(
                    f"a message of {size} bytes, the peer takes {self._out.message_max}",
                    hint="split it: commits of fewer or smaller objects",
                )
            encoded.append((first, second))
        for parts in encoded:
            self._out.add(parts)

    def outgoing(self) -> list[bytes]:
        """Return the frames to write, in order, and forget them."""
        self._pongs = 0
        return self._out.take()

    def close(self, code: str = "", text: str = "") -> None:
        """Say Bye after what is queued; the peer gets the error that `code` names, if any."""
        if self.state not in (State.IDLE, State.CLOSED):
            self._say_bye(Bye(code, clean(text)))
        if self.state is not State.CLOSED:
            self._is_end_said = not code
            self._end = Disconnected(clean(text) or "closed by this end")
        self._go(Event.CLOSE)

    def _say_bye(self, bye: Bye) -> None:
        if self.state is State.HELLO:
            self._out.codec = Codec(self._shake.clear_format)
        self._out.add(self._out.codec.encode_one(bye))

    # --- time and the end -----------------------------------------------------------------------

    def tick(self, now_s: float) -> None:
        """Look at the clock; call it every second or so, or when `deadline_s` has come.

        Raises:
            TimedOut: no handshake in time, or no byte for twice the keep-alive time. CLOSED then.
        """
        silence = now_s - self._heard_s
        if self.state in (State.HELLO, State.PROOF):
            if now_s - self._started_s >= self.terms.handshake_s:
                raise self._silent(f"no handshake within {self.terms.handshake_s:g} s")
        elif self.state is State.READY:
            if silence >= 2 * self.terms.keepalive_s:
                raise self._silent(f"nothing came from the peer for {silence:.0f} s")
            since = now_s - max(self._heard_s, self._pinged_s)
            if since >= self.terms.keepalive_s:
                self._pinged_s = now_s
                self._pings += 1
                self._unanswered.add(self._pings)
                self._out.add(self._shake.codec.encode_one(Ping(self._pings)))

    @property
    def deadline_s(self) -> float | None:
        """When `tick` has something to do; None when it never will."""
        if self.state in (State.HELLO, State.PROOF):
            return self._started_s + self.terms.handshake_s
        if self.state is not State.READY:
            return None
        ping = max(self._heard_s, self._pinged_s) + self.terms.keepalive_s
        return min(ping, self._heard_s + 2 * self.terms.keepalive_s)

    def noticed(self, now_s: float) -> None:
        """The peer has shown by other means than a frame that it is there."""
        self._heard_s = max(self._heard_s, now_s)

    def was_deaf(self, late_s: float, now_s: float) -> None:
        """This end has read nothing for so long: that is no silence of the peer."""
        self._heard_s = min(self._heard_s + late_s, now_s)

    def lost(self) -> AteError:
        """Tell that the transport ended; return why: "cut" unless one of the ends had said Bye."""
        if self._end is None:
            self._end = Disconnected(
                "the connection was cut: it ended without a Bye",
                hint="it comes back by itself when the way to the peer does",
            )
        self._go(Event.LOST)
        return self._end

    def _silent(self, text: str) -> TimedOut:
        error = TimedOut(text, hint="is the peer up, and is the way to it free?")
        self._fail(error)
        return error

    def _fail(self, error: AteError) -> None:
        """Close for a reason, and tell the peer."""
        more: More = {"hint": clean(error.hint)} if error.hint else {}
        if isinstance(error, UnsupportedFormat):
            more["versions"] = [*self.terms.versions]
        # What is the peer's fault here is its own fault there.
        code = LocalProtocolError.code if isinstance(error, ProtocolError) else error.code
        self._out.forget()
        self._say_bye(Bye(code, clean(error.message), more))
        self._end = error
        self._go(Event.FAIL)

    def _go(self, event: Event, *, theirs: bool = False) -> None:
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            kind = RemoteProtocolError if theirs else LocalProtocolError
            raise kind(f"{event.value}, and this end {self.state.value}")
        self.state = following
