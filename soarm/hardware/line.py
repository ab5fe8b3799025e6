"""Exchange one request at a time on the half-duplex line, and account for every byte that comes back.

Knows packets and time, not registers. A status packet does not say which question it answers, so freshness is won here:

* Before each question the input is emptied; after a question that was not fully answered the line is drained until it is quiet
  before the servos that are missing, and only they, are asked once more.
* An answer that is still owed may come at any time later. So for a second no other question asks for as many bytes as that one
  did, but for a few registers more than it needs: the late answer has another length, and is known by it.
* Our own bytes, which some half-duplex adapters echo, are cut out where they come back unchanged.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping

from soarm.errors import PortError
from soarm.hardware.packets import OVERHEAD, Reply, ReplyBurst, Scan, form_of, scan, split_burst
from soarm.hardware.port import PORT_TROUBLE, SerialPort
from soarm.signals import deferred_signals, may_raise

logger = logging.getLogger(__name__)

Ask = Callable[[tuple[int, ...], int], bytes]
"""Servo ids and number of data bytes -> the packet that asks them for so many."""
_FIRST_SHARE = 0.6
"""Of the time of a question, what the first attempt may take; the rest is for draining and asking again."""
_QUIET_S = 0.0015
"""Silence after which no answer is under way: 150 byte times at 1 Mbaud, more than one frame of full-speed USB."""
_LENGTHS = 16
"""How many lengths tell questions apart: the longest telemetry ends at register 85, the last of the table. With two attempts
in a tick of 20 ms, and all of them missed, a length comes again after 160 ms."""
_LATE_S = 1.0
"""No answer comes later than this; the worst stall seen was 80 ms."""


@dataclasses.dataclass
class Counters:
    """What happened on the line since it was opened.

    Attributes:
        requests: Packets sent.
        replies: Answers accepted.
        misses: Answers that never came, after the second attempt.
        retries: Second attempts.
        bad_checksum: Places in the stream that looked like a packet with a wrong checksum.
        wrong_length: Undamaged packets of a servo that was asked, with more or fewer data bytes than asked for.
        wrong_id: Undamaged packets of a servo that was not asked.
        echo_bytes: Our own bytes that came back.
        drained_bytes: Bytes that were thrown away because no question was open.
        out_of_range: Positions beyond one turn, which were not passed on.
    """

    requests: int = 0
    replies: int = 0
    misses: int = 0
    retries: int = 0
    bad_checksum: int = 0
    wrong_length: int = 0
    wrong_id: int = 0
    echo_bytes: int = 0
    drained_bytes: int = 0
    out_of_range: int = 0


class Line:
    """The questions and answers of one thread on one open port.

    Args:
        port: Open.
        timeout_s: The time a question may take, second attempt included [s].
        now: The clock [s].

    Attributes:
        unexplained: What the last question brought beside the answers: damaged, foreign or surplus bytes.
    """

    def __init__(self, port: SerialPort, timeout_s: float, now: Callable[[], float]) -> None:
        self._counters = Counters()
        self.unexplained = b""
        self.timeout_s = timeout_s
        self.now = now
        self.port = port
        self._late: dict[int, float] = {}  # number of data bytes -> until when such an answer may still come
        self._n_asked = 0
        self._thread: int | None = None
        self._closed: str | None = None

    @property
    def counters(self) -> Counters:
        """See `Counters`."""
        self._counters.drained_bytes = self.port.drained_bytes
        return self._counters

    @property
    def is_open(self) -> bool:
        """Whether the port can still be used."""
        return self._closed is None

    def adopt(self) -> None:
        """Make the calling thread the bus thread; the one that used the line before must not use it again."""
        self._thread = threading.get_ident()

    def tell(self, packet: bytes) -> None:
        """Send a packet that nobody answers.

        Raises:
            PortError: The port is closed, or was lost.
        """
        self._check_usable()
        if may_raise():
            with deferred_signals():
                self._tell(packet)
        else:
            self._tell(packet)

    def ask(
        self, ask: Ask, servo_ids: tuple[int, ...], n_bytes: int, attempts: int = 2, within_s: float | None = None
    ) -> dict[int, Reply]:
        """Ask servos and return the answers of those that answered; a missing one is missing, whatever the others do.

        Args:
            ask: Builds the packet; for the second attempt it is called with the servos that are missing. It must ask for as
                many bytes as it is told, which may be up to 15 more than `n_bytes`.
            servo_ids: Those that are to answer, in this order.
            n_bytes: Data bytes in each answer; 0 for an acknowledgement.
            attempts: 1 or 2.
            within_s: The time for all of it; None for that of the line [s].

        Raises:
            PortError: The port is closed, or was lost.
        """
        answers = self.ask_burst(ask, servo_ids, n_bytes, attempts, within_s)
        return split_burst(answers, servo_ids, n_bytes) if isinstance(answers, ReplyBurst) else answers

    def ask_burst(
        self, ask: Ask, servo_ids: tuple[int, ...], n_bytes: int, attempts: int = 2, within_s: float | None = None
    ) -> ReplyBurst | dict[int, Reply]:
        """Ask servos as `ask` does, and return their answers undivided if all came, whole and in order.

        Raises:
            PortError: The port is closed, or was lost.
        """
        self._check_usable()
        if within_s is None:
            within_s = self.timeout_s
        if not may_raise():
            return self._ask(ask, servo_ids, n_bytes, attempts, within_s)
        with deferred_signals():
            return self._ask(ask, servo_ids, n_bytes, attempts, within_s)

    @property
    def baud(self) -> int:
        """Baud of the port."""
        return int(self.port.getBaudRate())

    def speaks(self, baud: int) -> bool:
        """Whether the SDK speaks a baud."""
        return bool(self.port.getCFlagBaud(baud) > 0)

    def set_baud(self, baud: int) -> None:
        """Change the baud of the port, not that of any servo.

        Raises:
            PortError: The port is closed, or was lost.
        """
        self._check_usable()
        try:
            self.port.setBaudRate(baud)
        except PORT_TROUBLE as error:
            raise self._lost(error) from error

    def listen(self, seconds: float) -> bytes:
        """Return what comes in a time without asking [s].

        Raises:
            PortError: The port is closed, or was lost.
        """
        self._check_usable()
        with deferred_signals():
            try:
                return self.port.receive(4096, seconds)
            except PORT_TROUBLE as error:
                raise self._lost(error) from error

    def close(self, why: str = "it was closed") -> None:
        """Close the port; a second time does nothing, and nothing is raised."""
        if self._closed is not None:
            return
        self._closed = why
        try:
            self.port.closePort()
        except PORT_TROUBLE as error:
            logger.warning("closing the port %s: %s", self.port.port_name, error)

    def _check_usable(self) -> None:
        if self._closed is not None:
            raise PortError(f"the port {self.port.port_name} cannot be used: {self._closed}. Open the bus again")
        if self._thread != threading.get_ident():
            assert self._thread is None, "the bus belongs to one thread; a second one has to take it over with `adopt` first"
            self.adopt()

    def _tell(self, packet: bytes) -> None:
        try:
            self._counters.requests += 1
            self.port.send(packet)
        except PORT_TROUBLE as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> PortError:
        self.close(f"it was lost ({error})")
        return PortError(
            f"the port {self.port.port_name} was lost ({error}): unplugged, or the adapter hangs. The servos hold their last "
            "goal as long as they have power. Plug it in again and open the bus again"
        )

    def _expect_late(self) -> None:
        if self._n_asked:  # the length of an acknowledgement is fixed
            self._late[self._n_asked] = self.now() + _LATE_S

    def _length(self, n_bytes: int) -> int:
        """Return how many bytes to ask for, so that no answer that is owed can be taken for the one to this question."""
        if n_bytes == 0:
            return n_bytes
        now_s = self.now()
        self._late = {n: until_s for n, until_s in self._late.items() if until_s > now_s}
        return min(range(n_bytes, n_bytes + _LENGTHS), key=lambda n: self._late.get(n, 0.0))

    def _ask(
        self, ask: Ask, servo_ids: tuple[int, ...], n_bytes: int, attempts: int, within_s: float
    ) -> ReplyBurst | dict[int, Reply]:
        end_s = self.now() + within_s
        try:
            replies = self._attempt(ask, servo_ids, n_bytes, within_s * _FIRST_SHARE if attempts > 1 else within_s)
            if isinstance(replies, ReplyBurst):
                self._counters.replies += len(servo_ids)
                return replies
            if len(replies) < len(servo_ids):
                self._expect_late()
                if attempts > 1:
                    replies |= self._ask_again(ask, servo_ids, n_bytes, replies, end_s)
        except PORT_TROUBLE as error:
            raise self._lost(error) from error
        except BaseException:  # whatever it was, the answer may still come
            self._expect_late()
            raise
        self._counters.replies += len(replies)
        self._counters.misses += len(servo_ids) - len(replies)
        return replies

    def _ask_again(
        self, ask: Ask, servo_ids: tuple[int, ...], n_bytes: int, replies: Mapping[int, Reply], end_s: float
    ) -> dict[int, Reply]:
        missing = tuple(servo_id for servo_id in servo_ids if servo_id not in replies)
        self.port.drain(_QUIET_S, end_s)
        self._counters.retries += 1
        late = self._attempt(ask, missing, n_bytes, max(_QUIET_S, end_s - self.now()))
        if isinstance(late, ReplyBurst):
            return split_burst(late, missing, n_bytes)
        if len(late) < len(missing):
            self._expect_late()
        return late

    def _attempt(self, ask: Ask, servo_ids: tuple[int, ...], n_bytes: int, within_s: float) -> ReplyBurst | dict[int, Reply]:
        n_asked = self._n_asked = self._length(n_bytes) if self._late else n_bytes
        self.port.send(ask(servo_ids, n_asked))
        sent_s = self.now()  # what can be done while the answer is under way is done here
        self.unexplained = b""
        self._counters.requests += 1
        form = form_of(servo_ids, n_asked)
        data = self.port.receive(form.n_bytes, within_s)
        # The echo of a read of two bytes looks like an answer to it.
        if form.fits(data) and data != self.port.sent:
            burst = ReplyBurst(data, self.now())
            if n_asked == n_bytes:
                return burst
            replies = split_burst(burst, servo_ids, n_asked)
        else:
            replies = self._sort_out(data, servo_ids, n_asked, sent_s + within_s)
        if n_asked != n_bytes:
            replies = {servo_id: reply._replace(data=reply.data[:n_bytes]) for servo_id, reply in replies.items()}
        return replies

    def _sort_out(self, data: bytes, servo_ids: tuple[int, ...], n_bytes: int, end_s: float) -> dict[int, Reply]:
        """Make the best of an answer that is incomplete, damaged, or mixed with other bytes."""
        n_expected = (n_bytes + OVERHEAD) * len(servo_ids)
        replies: dict[int, Reply] = {}
        over = False
        while True:
            answer = data.replace(self.port.sent, b"", 1)
            found = scan(answer)
            n_strange, t_s = 0, self.now()
            for packet in found.packets:
                if packet.servo_id in servo_ids and len(packet.data) == n_bytes:
                    replies.setdefault(packet.servo_id, Reply(packet.error, packet.data, t_s))
                else:
                    n_strange += len(packet.data) + OVERHEAD
            n_wanted = n_expected - (len(answer) - n_strange)
            if n_wanted <= 0:
                n_wanted = found.lacking  # all bytes came; an answer that is missing among them came damaged
            if over or len(replies) == len(servo_ids) or n_wanted == 0:
                break
            more = self.port.receive(n_wanted, max(0.0, end_s - self.now()))
            over = len(more) < n_wanted  # the time is up, and what the system held back for us was looked at as well
            data += more
        if len(replies) < len(servo_ids) or len(answer) != n_expected:
            self.unexplained = answer
        self._account(len(data) - len(answer), found, servo_ids, n_bytes)
        return replies

    def _account(self, n_echo: int, found: Scan, servo_ids: tuple[int, ...], n_bytes: int) -> None:
        counters = self._counters
        counters.echo_bytes += n_echo
        counters.bad_checksum += found.bad_checksums
        for packet in found.packets:
            counters.wrong_id += packet.servo_id not in servo_ids
            counters.wrong_length += packet.servo_id in servo_ids and len(packet.data) != n_bytes
