#!/bin/sh
# Puts a headless Chromium and fonts for the scripts of the world into a folder, without root. Browser tests use it.
#
#   scripts/install-chromium.sh [FOLDER]        FOLDER is .chromium unless given
#
# FOLDER/chromium is the program. Debian only. Nothing outside FOLDER is changed; the folder may be moved afterwards.
# FOLDER/packages.tsv lists each unpacked package with its version. Exit status: 0 in place, 1 wrong usage, 2 not
# possible here.
set -eu
# Messages of apt and dpkg are read below, so they must be in English.
export LC_ALL=C

PROGRAM=usr/lib/chromium/chromium-headless-shell
FONTS="fonts-noto-core fonts-wqy-microhei fonts-dejavu-core"

# The shared functions read these.
# shellcheck disable=SC2034
{
    script=install-chromium
    product=Chromium
    packages="chromium-headless-shell chromium-common $FONTS"
    theirs=
    # What a desktop's browser opens links with.
    unused="x11-utils xdg-utils"
}
# shellcheck source=scripts/debian-packages.sh
. "$(dirname "$0")/debian-packages.sh"

is_whole() { [ -x "$1/$PROGRAM" ]; }

# write_program FOLDER: the program that is called. It finds libraries and fonts beside itself, and only these fonts, so
# that a page looks the same on every machine.
write_program() {
    cat >"$1/chromium" <<'PROGRAM'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
for folder in "$here"/usr/lib/*-linux-* "$here"/usr/lib/*-linux-*/pulseaudio "$here"/lib/*-linux-*; do
    [ -d "$folder" ] && LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"
done
export LD_LIBRARY_PATH FONTCONFIG_FILE="$here/fonts.conf" XDG_CACHE_HOME="$here/cache"
exec "$here/usr/lib/chromium/chromium-headless-shell" "$@"
PROGRAM
    chmod 755 "$1/chromium"
    cat >"$1/fonts.conf" <<'FONTS'
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir prefix="relative">usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias><family>sans-serif</family><prefer><family>Noto Sans</family></prefer></alias>
  <alias><family>serif</family><prefer><family>Noto Serif</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
  <alias><family>system-ui</family><prefer><family>Noto Sans</family></prefer></alias>
</fontconfig>
FONTS
}

read_arguments .chromium "$@"
look_at_target

# shellcheck disable=SC2086  # a list of package names
if is_whole "" && dpkg-query -W $packages >/dev/null 2>&1; then
    rm -rf "$target"
    mkdir -p "$target"
    write_program "$target"
    ln -s /usr "$target/usr"
    say "Chromium is already installed on this system; $target/chromium calls it."
    exit 0
fi

other="Name a Chromium or Chrome that you have instead: export BACKPROMPT_CHROMIUM=/path/of/the/program"
need_apt "$other"
make_work
fetch_packages "Ubuntu has no package of it. $other"
unpack_packages
is_whole "$work/root" || fail "the packages of this system hold no $PROGRAM."
write_program "$work/root"
"$work/root/chromium" --no-sandbox --version >"$work/log" 2>&1 || fail_with_log "the unpacked program does not run here."
put_in_place chromium-headless-shell
