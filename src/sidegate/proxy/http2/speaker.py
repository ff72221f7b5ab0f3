"""What all HTTP/2 connections of one worker share."""

from typing import TYPE_CHECKING, Final

from sidegate.core.wire.http2_answer import AnswerHead, answer_head
from sidegate.core.wire.http2_request import Http2Request, read_request
from sidegate.core.wire.memo import MakingMemo, Memo
from sidegate.core.wire.response import ResponseHead
from sidegate.proxy.http2.engine import Section, Sections

if TYPE_CHECKING:
    from sidegate.proxy.gateway import Gateway

REMEMBERED_HEADS: Final = 512
REMEMBERED_REQUESTS: Final = 1024
REMEMBERED_BYTES: Final = 4096
"""Longer ones are worked out anew each time, so that the memories stay below some 20 MiB whatever clients send."""


class Speaker:
    """What is worked out once.

    Args:
        gateway: The data plane.
        streams: That a client may have open at a time on one connection.
    """

    __slots__ = ("_heads", "_requests", "gateway", "sections", "streams")

    def __init__(self, gateway: "Gateway", streams: int) -> None:
        self.gateway = gateway
        self.streams = streams
        self.sections = Sections()
        self._heads: MakingMemo[bytes, AnswerHead] = MakingMemo(REMEMBERED_HEADS, answer_head)
        self._requests: Memo[tuple[tuple[bytes, ...], bool, Section], Http2Request] = Memo(REMEMBERED_REQUESTS)

    def answer_head(self, head: ResponseHead) -> AnswerHead:
        """Say *head* in the terms of HTTP/2; equal ones once."""
        return self._heads.get(head.forward) if len(head.forward) <= REMEMBERED_BYTES else answer_head(head.forward)

    def read_request(self, section: Section, schemes: tuple[bytes, ...], *, ended: bool) -> Http2Request:
        """Read the field section of a request; equal ones once.

        Raises:
            WireError: See :func:`sidegate.core.wire.http2_request.read_request`.
        """
        key = (schemes, ended, section)
        known = self._requests.find(key)
        if known is None:
            known = read_request(section, schemes, ended=ended)
            if len(known.head) <= REMEMBERED_BYTES:
                self._requests.remember(key, known)
        return known
