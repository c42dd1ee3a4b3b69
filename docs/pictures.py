"""Take the pictures of the pages in README and tutorial with Chromium, on a throw-away server.

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
#: Pictures of the tutorial.
SMALL: ViewportSize = {"width": 900, "height": 680}
#: A table in German, whose numbers can be read in two ways.
TABLE = "Pegel Koblenz, Rhein\nTag;Abfluss\n" + "".join(
    f"{day:02}.01.2020;1.{day * 37 % 900 + 100},5\n" for day in range(13, 32)
)
SCRIPT = """import time
from jobserver import current_job

def calibrate(data):
    current_job.progress(0.4, "searching parameters")
    for number in range(20):
        print(f"round {number}: error {0.9 ** number:.4f}")
    time.sleep(60)
"""
#: Colours of a picture: pages have few.
_COLOURS = 128


def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with new_home() as home:
        flow = catchment(4)["flow"].round(3)
        flow.to_csv(home / "data" / "flow.csv", index_label="day")
        (home / "data" / "rhein.csv").write_text(TABLE)
        (home / "scripts" / "models.py").write_text(SCRIPT)
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
            page.set_viewport_size(SMALL)
            save_tutorial(page, server)
            browser.close()


def save_tutorial(page: Page, server: Server) -> None:
    """Save the pictures of the tutorial, in its order."""
    page.goto("/ui/new?datafile=rhein.csv")
    page.get_by_role("button", name="Set thousands").wait_for()
    page.locator("#preview").evaluate("(part) => part.scrollIntoView({ block: 'center' })")
    save(page, "browser-table")
    page.goto("/ui/new?script=resample&datafile=flow.csv")
    page.locator("#preview td").first.wait_for()
    page.get_by_role("textbox", name="period").fill("MS")
    save(page, "browser-form")
    running = str(
        send(server, "PUT", "/job", {"script_name": "calibrate", "datafile": "flow.csv"})["_id"]
    )
    send(server, "POST", f"/job/{running}/run", {})
    page.goto(f"/ui/job/{running}")
    page.get_by_text("40 %").wait_for()
    page.get_by_text("round 19").wait_for()
    save(page, "browser-running")
    send(server, "POST", f"/job/{running}/cancel", {})
    for period in ("YS", "MS"):
        script = {"name": "resample", "kwargs": {"period": period}}
        job = run(server, script=script, datafile="flow.csv")
    page.goto(f"/ui/job/{job}")
    page.locator(".uplot").first.wait_for()
    save(page, "browser-result")
    page.goto("/ui/jobs?script=resample")
    save(page, "browser-jobs")


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
