"""Take the pictures of the pages in the README with Chromium, on a throw-away server.

``make pictures`` writes ``docs/pictures/<name>.png``, as small as Pillow can make them.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from urllib.request import Request, urlopen

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

from benchmarks.server import Server, new_home, serving
from docs.figures import catchment

FOLDER = Path(__file__).parent / "pictures"
SIZE: ViewportSize = {"width": 1180, "height": 760}
#: Colours of a picture: pages have few.
_COLOURS = 128


def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with new_home() as home:
        flow = catchment(4)["flow"].round(3)
        flow.to_csv(home / "data" / "flow.csv", index_label="day")
        with serving(home) as server, sync_playwright() as playwright:
            job = fill(server)
            program = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE, base_url=f"http://127.0.0.1:{server.port}")
            page.goto("/ui/jobs")
            save(page, "jobs")
            page.goto(f"/ui/job/{job}")
            page.locator(".uplot").first.wait_for()
            save(page, "job")
            browser.close()


def fill(server: Server) -> str:
    """Run some jobs; return the id of the one whose result is plotted."""
    finished = ["summary", "flow_duration_curve", "return_periods", "baseflow"]
    ids = [run(server, script_name=name, datafile="flow.csv") for name in finished]
    run(server, script_name="summary", raw_data="no table")
    return ids[-1]


def run(server: Server, **fields: object) -> str:
    """Run a job to its end, and return its id."""
    job = str(send(server, "PUT", "/job", fields)["_id"])
    send(server, "POST", f"/job/{job}/run?wait=30", {})
    return job


def send(server: Server, method: str, path: str, content: object) -> dict[str, object]:
    """Send JSON, and return that of the answer."""
    request = Request(
        f"http://127.0.0.1:{server.port}{path}",
        json.dumps(content).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    with urlopen(request, timeout=60) as answer:  # noqa: S310
        found: dict[str, object] = json.load(answer)
    return found


def save(page: Page, name: str) -> None:
    """Save what a page shows as a small picture."""
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    path = FOLDER / f"{name}.png"
    picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
