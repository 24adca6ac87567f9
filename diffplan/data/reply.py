"""Asks a server for one file, and waits for it no longer than agreed."""

import queue
import threading
from collections.abc import Iterator, Mapping
from urllib.parse import urljoin

import requests

MOST_REDIRECTIONS = 10


class Reply:
    """The answer to one request. A thread reads it, because a server may send so slowly that reading never returns.

    Args:
        url: Address; redirections are followed.
        headers: Headers of the request.
        timeout_seconds: Longest wait for the answer with all its redirections, and then for each chunk.
        chunk_bytes: Size of a chunk.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout_seconds: float, chunk_bytes: int) -> None:
        self._timeout_seconds = timeout_seconds
        self._chunk_bytes = chunk_bytes
        self._items: queue.Queue[requests.Response | bytes | Exception | None] = queue.Queue(maxsize=16)
        self._is_closed = threading.Event()
        threading.Thread(target=self._read, args=(url, headers), daemon=True).start()

    def __enter__(self) -> "Reply":
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed.set()

    def response(self) -> requests.Response:
        """Waits for the status and the headers; ``chunks`` reads the body.

        Raises:
            requests.RequestException: The server does not answer, or not in time.
        """
        response = self._next()
        assert isinstance(response, requests.Response)
        return response

    def chunks(self) -> Iterator[bytes]:
        """Yields the body, decoded by nobody.

        Raises:
            requests.RequestException: The connection ends early, or a chunk takes too long.
        """
        while isinstance(chunk := self._next(), bytes):
            yield chunk

    def _next(self) -> requests.Response | bytes | None:
        try:
            item = self._items.get(timeout=self._timeout_seconds)
        except queue.Empty:
            raise requests.Timeout from None
        if isinstance(item, Exception):
            raise item
        return item

    def _read(self, url: str, headers: Mapping[str, str]) -> None:
        try:
            with _Session() as session:
                for _ in range(MOST_REDIRECTIONS):
                    with session.get(url, headers=headers, stream=True, timeout=self._timeout_seconds) as response:
                        if response.is_redirect:
                            url = urljoin(response.url, response.headers["Location"])
                            continue
                        wanted = self._put(response)
                        body = response.iter_content(self._chunk_bytes)
                        while wanted:
                            wanted = self._put(chunk := next(body, None)) and chunk is not None
                        return
                raise requests.TooManyRedirects("the server redirects without end")
        except requests.RequestException as error:
            self._put(error)
        except OSError as error:
            self._put(requests.ConnectionError(error))
        # Addresses that are none raise errors of several packages.
        except Exception as error:
            self._put(requests.RequestException(error))

    def _put(self, item: requests.Response | bytes | Exception | None) -> bool:
        """Hands an item over; returns whether more are wanted."""
        while not self._is_closed.is_set():
            try:
                self._items.put(item, timeout=1.0)
                return True
            except queue.Full:
                continue
        return False


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        # The library would read the whole body of a redirection, however long it is.
        return None
