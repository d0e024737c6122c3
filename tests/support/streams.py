"""Live streams over HTTP that break where a test wants it, and come back."""

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import cv2
import numpy as np

from cyclesiam.video.read_ahead import THREAD_NAME


@dataclass
class Stream:
    """What a server sends to one visitor after another.

    Args:
        visits: the bytes for each; then the connection is cut. Later visitors are refused.
        pause: seconds between chunks.
        kind: content type.
    """

    visits: Sequence[bytes]
    pause: float = 0.0
    kind: str = "video/mp2t"
    served: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)


@contextmanager
def served(stream: Stream) -> Iterator[str]:
    """Serve a stream; yield its URL."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if stream.served >= len(stream.visits):
                stream.refused += 1
                self.send_error(503)
                return
            content = stream.visits[stream.served]
            stream.served += 1
            self.send_response(200)
            self.send_header("Content-Type", stream.kind)
            self.end_headers()
            chunk = max(len(content) // 20, 1)
            with suppress(OSError):  # the visitor is gone
                for start in range(0, len(content), chunk):
                    self.wfile.write(content[start : start + chunk])
                    if stopped.wait(stream.pause):
                        return

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/live/door"
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


def transport_stream(images: Sequence[np.ndarray]) -> bytes:
    """Encode images as MPEG-TS, 25 a second, each predicted from those before it."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"bf": "0"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def motion_jpeg(images: Sequence[np.ndarray]) -> bytes:
    """Encode images as network cameras do: JPEGs one after the other, `MOTION_JPEG`."""
    parts = []
    for image in images:
        jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        parts.append(head.encode() + jpeg + b"\r\n")
    return b"".join(parts)


MOTION_JPEG = "multipart/x-mixed-replace; boundary=frame"


def wait_for_readers() -> None:
    """Wait until every thread of a `ReadAhead` has ended; fail if one does not."""
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(10)
            assert not thread.is_alive()
