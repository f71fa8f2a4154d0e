#!/bin/sh
# Puts Apertium and the language pairs that Backprompt uses into a folder, without root.
#
#   scripts/install-apertium.sh [FOLDER]        FOLDER is .apertium unless given
#
# Debian and Ubuntu only. Nothing outside FOLDER is changed; the folder may be moved afterwards. FOLDER/packages.tsv
# lists each unpacked package with its version. Exit status: 0 in place, 1 wrong usage, 2 not possible here.
set -eu
# Messages of apt and dpkg are read below, so they must be in English.
export LC_ALL=C

PAIRS="apertium-eng-spa apertium-eng-cat apertium-en-gl apertium-eo-en apertium-es-pt apertium-spa-ita apertium-fra-cat"
MODES="spa-eng eng-spa cat-eng eng-cat gl-en en-gl eo-en en-eo es-pt pt-es spa-ita ita-spa cat-fra fra-cat"
PROGRAMS="apertium-wblank-mode apertium-tagger apertium-transfer apertium-anaphora lt-proc lrx-proc lsx-proc cg-proc"

# The shared functions read these.
# shellcheck disable=SC2034
{
    script=install-apertium
    product=Apertium
    packages="apertium $PAIRS"
    theirs="apertium|libapertium|lttoolbox|liblttoolbox|lexd|lrx|cg3|libcg3|libirstlm|irstlm"
    # Apertium depends on these to compile dictionaries and for its own shell script; neither is ever run here. Claiming
    # that they are installed also keeps apt from upgrading unrelated libraries along with them.
    unused="gawk libxml2-utils xsltproc"
}
# shellcheck source=scripts/debian-packages.sh
. "$(dirname "$0")/debian-packages.sh"

# is_whole ROOT: true if ROOT/usr holds every program and mode.
is_whole() {
    for program in $PROGRAMS; do [ -x "$1/usr/bin/$program" ] || return 1; done
    for mode in $MODES; do [ -f "$1/usr/share/apertium/modes/$mode.mode" ] || return 1; done
}

read_arguments .apertium "$@"
look_at_target

# shellcheck disable=SC2086  # a list of package names
if is_whole "" && dpkg-query -W $packages >/dev/null 2>&1; then
    rm -rf "$target"
    mkdir -p "$target"
    ln -s /usr "$target/usr"
    say "Apertium is already installed on this system; $target points to it."
    exit 0
fi

need_apt "Use the Docker image instead:
    docker build -t backprompt . && docker run --rm -v \"\$PWD/lake:/lake\" backprompt"
make_work
fetch_packages "On Ubuntu the component \"universe\" must be enabled."
unpack_packages
is_whole "$work/root" || fail "the packages of this system lack some of the modes: $MODES"
LD_LIBRARY_PATH="$(library_path "$work/root")" "$work/root/usr/bin/lt-proc" -v >"$work/log" 2>&1 ||
    fail_with_log "the unpacked programs do not run here."
put_in_place apertium
