"""The browser of the tests shows every script, and says what is wrong with a page."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.browser import errors_of

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "install-chromium.sh"
# One letter of each script that the demo's languages are written in, and of some more.
LETTERS = {
    "Arab": "ع", "Armn": "Ա", "Beng": "ক", "Cyrl": "ж", "Deva": "क", "Ethi": "አ", "Geor": "ა", "Grek": "ω", "Gujr": "ક",
    "Guru": "ਕ", "Hang": "한", "Hans": "汉", "Hebr": "א", "Jpan": "か", "Khmr": "ក", "Knda": "ಕ", "Laoo": "ກ",
    "Latn": "ə", "Mlym": "ക", "Mymr": "က", "Olck": "ᱚ", "Orya": "କ", "Sinh": "ක", "Taml": "க", "Telu": "క",
    "Tfng": "ⴰ", "Thai": "ก", "Tibt": "ཀ",
}  # fmt: skip


def test_every_script_has_a_font(browser):
    page = browser.new_page()
    # A letter without a font is drawn as the box of a code point that no font has.
    drawn = page.evaluate(
        """letters => letters.map(letter => {
             const canvas = document.createElement('canvas');
             canvas.width = canvas.height = 60;
             const pen = canvas.getContext('2d');
             pen.font = '40px sans-serif';
             pen.fillText(letter, 5, 45);
             return canvas.toDataURL();
           })""",
        [*LETTERS.values(), "\U000e5ac3", " "],
    )
    *letters, box, nothing = drawn
    assert [script for script, image in zip(LETTERS, letters, strict=True) if image in (box, nothing)] == []
    assert len(set(letters)) == len(letters)
    page.close()


def test_errors_are_seen(browser):
    page = browser.new_page()
    errors = errors_of(page)
    page.set_content("<script>console.error('first'); missing()</script><p>text")
    assert page.inner_text("p") == "text"
    assert [text.split(":")[0] for text in errors] == ["first", "missing is not defined"]
    page.close()


def test_without_apt_the_script_says_what_to_do(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in ("sh", "dirname", "ls", "rm", "sed"):
        (programs / tool).symlink_to(shutil.which(tool))
    done = subprocess.run(
        [shutil.which("sh"), str(SCRIPT), "folder"],
        env={"PATH": str(programs)}, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "export BACKPROMPT_CHROMIUM=" in done.stderr
    assert not (tmp_path / "folder").exists()
