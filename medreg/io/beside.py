"""ProcessClerk: a forked child that reads and writes files, its arrays in shared memory. Linux only."""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import shutil
import signal
import socket
import struct
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any

from medreg.errors import MedregError, MedregWarning, ReadError
from medreg.io.ahead import Pending, warn_again

_LENGTHS = struct.Struct("<QI")
"""Bytes of the pickle, number of shared buffers."""
_MOST_BUFFERS = 250
"""Linux hands over at most 253 open files at a time; smaller objects simply travel in the pickle."""
_WORTH_SHARING = 1 << 16


class ProcessClerk:
    """Does the work in a child process. Make it while this process has one thread and little memory."""

    def __init__(self) -> None:
        """Fork."""
        ours, theirs = socket.socketpair()
        # the child is killed, whatever it is at: what it unpacked must not outlive it
        self._scratch = tempfile.mkdtemp(prefix="medreg-")
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # else both processes would print what is waiting there
        with warnings.catch_warnings():
            # Python 3.12 warns where it sees a second thread: OpenBLAS has one, which its own fork handlers look after
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child = os.fork()
        if self._child == 0:
            ours.close()
            tempfile.tempdir = self._scratch
            _serve(theirs)
        theirs.close()
        self._line = ours
        self._waiting: list[_Reply] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Pending:
        """See `Clerk`."""
        reply = _Reply(self)
        self._waiting.append(reply)
        try:
            _send(self._line, (function, arguments))
        except OSError:
            raise self._death() from None
        return reply

    def receive(self) -> None:
        """Take in the next answer; they come in the order of the work."""
        try:
            answer = _receive(self._line)
        except (EOFError, OSError):
            raise self._death() from None
        self._waiting.pop(0).answer = answer

    def _death(self) -> ReadError:
        _, status = os.waitpid(self._child, 0) if self._child else (0, 0)
        self._child = 0
        code = os.waitstatus_to_exitcode(status)
        why = "out of memory, most likely" if code == -signal.SIGKILL else f"exit status {code}"
        return ReadError(
            f"the process that reads and writes the files ended ({why}); close other programs and try again"
        )

    def __enter__(self) -> ProcessClerk:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `Clerk`: the child is killed, whatever it is at."""
        self._line.close()
        if self._child:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._child, signal.SIGKILL)
                os.waitpid(self._child, 0)
            self._child = 0
        shutil.rmtree(self._scratch, ignore_errors=True)


class _Reply:
    """One answer, taken in when it is asked for."""

    def __init__(self, owner: ProcessClerk) -> None:
        self._owner = owner
        self.answer: tuple[Any, BaseException | None, list[str]] | None = None

    def result(self) -> Any:
        """See `Pending`."""
        while self.answer is None:
            self._owner.receive()
        value, error, texts = self.answer
        warn_again(texts)
        if error is not None:
            raise error
        return value


def _serve(line: socket.socket) -> None:
    """The child's life: do what is asked, answer, until the parent hangs up. Never returns."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both: the parent decides
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while True:
            function, arguments = _receive(line)
            _send(line, _done(function, arguments))
    except (EOFError, OSError, KeyboardInterrupt):
        os._exit(0)  # the parent is gone
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)  # no atexit handlers, no flushing: they are the parent's


def _done(function: Callable[..., Any], arguments: Any) -> tuple[Any, BaseException | None, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MedregWarning)
        value, error = _outcome(function, arguments)
    return value, error, [str(w.message) for w in caught if issubclass(w.category, MedregWarning)]


def _outcome(function: Callable[..., Any], arguments: Any) -> tuple[Any, BaseException | None]:
    try:
        return function(*arguments), None
    except MedregError as error:
        return None, error
    except Exception as error:
        # a bug, which the parent is to tell as one; its own class may not pickle
        return None, RuntimeError("".join(traceback.format_exception(error)))


def _send(line: socket.socket, value: Any) -> None:
    """Pickle a value; its larger arrays go by shared memory, each written once and never copied again."""
    buffers: list[pickle.PickleBuffer] = []

    def stays_inside(buffer: pickle.PickleBuffer) -> bool:
        share = buffer.raw().nbytes >= _WORTH_SHARING and len(buffers) < _MOST_BUFFERS
        if share:
            buffers.append(buffer)
        return not share

    body = pickle.dumps(value, protocol=5, buffer_callback=stays_inside)
    files = [_shared(buffer.raw()) for buffer in buffers]
    try:
        socket.send_fds(line, [_LENGTHS.pack(len(body), len(files))], files)
        line.sendall(body)
    finally:
        for file in files:
            os.close(file)


def _receive(line: socket.socket) -> Any:
    head, files, _, _ = socket.recv_fds(line, _LENGTHS.size, _MOST_BUFFERS)
    if len(head) < _LENGTHS.size:
        raise EOFError
    length, count = _LENGTHS.unpack(head)
    body = bytearray()
    while len(body) < length:
        piece = line.recv(min(1 << 20, length - len(body)))
        if not piece:
            raise EOFError
        body += piece
    if len(files) != count:
        raise EOFError
    maps = []
    for file in files:
        maps.append(mmap.mmap(file, 0))
        os.close(file)
    return pickle.loads(body, buffers=maps)


def _shared(raw: memoryview) -> int:
    """An open file without a name, in memory, that holds these bytes."""
    file = os.memfd_create("medreg")
    while raw:
        raw = raw[os.write(file, raw) :]
    return file
