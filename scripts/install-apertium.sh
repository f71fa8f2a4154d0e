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
# Apertium depends on these to compile dictionaries and for its own shell script; neither is ever run here. Claiming
# that they are installed also keeps apt from upgrading unrelated libraries along with them.
UNUSED="gawk libxml2-utils xsltproc"

say() { printf '%s\n' "$*"; }

fail() {
    say "install-apertium: $*" >&2
    exit 2
}

# is_whole ROOT: true if ROOT/usr holds every program and mode.
is_whole() {
    for program in $PROGRAMS; do [ -x "$1/usr/bin/$program" ] || return 1; done
    for mode in $MODES; do [ -f "$1/usr/share/apertium/modes/$mode.mode" ] || return 1; done
}

# library_path ROOT: the folders below ROOT that hold shared libraries, joined by colons.
library_path() {
    path=
    for folder in "$1"/usr/lib/*-linux-* "$1"/lib/*-linux-*; do
        [ -d "$folder" ] && path="${path:+$path:}$folder"
    done
    say "$path"
}

# own FOLDER: true if FOLDER may be replaced: absent, empty, or made by this script.
own() {
    [ ! -e "$1" ] || [ -f "$1/packages.tsv" ] || [ -L "$1/usr" ] || { [ -d "$1" ] && [ -z "$(ls -A "$1")" ]; }
}

# What apt believes to be installed: the machine's packages, without Apertium's own, so that those are all fetched,
# and with UNUSED.
write_status() {
    awk 'BEGIN { RS = ""; ORS = "\n\n" }
         !/^Package: (apertium|libapertium|lttoolbox|liblttoolbox|lexd|lrx|cg3|libcg3|libirstlm|irstlm)[^\n]*/' \
        /var/lib/dpkg/status
    for package in $UNUSED; do
        printf 'Package: %s\nStatus: install ok installed\nArchitecture: %s\nVersion: 99:0\n' \
            "$package" "$(dpkg --print-architecture)"
        printf 'Maintainer: none\nDescription: not needed\n\n'
    done
}

# Hooks of the machine's apt are meant for its own lists and would need root.
write_config() {
    cat <<CONFIG
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State::Status "$work/status";
Dir::Cache "$work/cache";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
CONFIG
}

# Gets package lists of our own, from the machine's sources, into the work folder. A source that is out of reach is
# no failure here: only whether the lists know Apertium counts.
fetch_lists() {
    say "Getting package lists ..."
    printf 'Dir::State::Lists "%s/lists";\n' "$work" >>"$work/apt.conf"
    apt-get -c "$work/apt.conf" -qq update >"$work/log" 2>&1 || true
    lists=fresh
}

lists_know_apertium() {
    for package in $PAIRS; do
        apt-cache -c "$work/apt.conf" show "$package" >/dev/null 2>&1 || return 1
    done
}

# Writes name=version of all packages that are needed and not installed to work/wanted.
resolve() {
    # shellcheck disable=SC2086  # a list of package names
    apt-get -c "$work/apt.conf" -s install apertium $PAIRS >"$work/log" 2>&1 || return 1
    awk '$1 == "Inst" { name = $2; $1 = $2 = ""; sub(/^ *(\[[^]]*\] *)?\(/, ""); sub(/ .*/, ""); print name "=" $0 }' \
        "$work/log" | grep -v -e '-dev=' >"$work/wanted"
    if grep -q '^libc6=' "$work/wanted"; then
        say "Apertium needs a newer C library than this system has; upgrade the system first." >>"$work/log"
        return 1
    fi
}

download() {
    say "Downloading $(wc -l <"$work/wanted" | tr -d ' ') packages ..."
    # shellcheck disable=SC2046  # one word per package
    (cd "$work/packages" && apt-get -c "$work/apt.conf" -qq download $(cat "$work/wanted")) >"$work/log" 2>&1
}

fail_with_log() {
    tail -n 5 "$work/log" | sed 's/^/    /' >&2
    fail "$1"
}

fetch_packages() {
    if ! lists_know_apertium; then
        fetch_lists
        lists_know_apertium || fail_with_log "no package list with Apertium could be had. Is there a network?
On Ubuntu the component \"universe\" must be enabled."
    fi
    resolve || fail_with_log "apt cannot say which packages Apertium needs here."
    if ! download; then
        # The machine's lists may name versions that the servers no longer hold.
        [ "$lists" = fresh ] && fail_with_log "the packages could not be downloaded. Is there a network?"
        fetch_lists
        lists_know_apertium || fail_with_log "the packages could not be downloaded. Is there a network?"
        resolve || fail_with_log "apt cannot say which packages Apertium needs here."
        download || fail_with_log "the packages could not be downloaded. Is there a network?"
    fi
}

unpack() {
    for package in "$work"/packages/*.deb; do
        dpkg-deb -x "$package" "$work/root"
        # shellcheck disable=SC2016  # the format is dpkg's
        dpkg-deb -W --showformat='${Package}\t${Version}\n' "$package" >>"$work/root/packages.tsv"
    done
    is_whole "$work/root" || fail "the packages of this system lack some of the modes: $MODES"
    LD_LIBRARY_PATH="$(library_path "$work/root")" "$work/root/usr/bin/lt-proc" -v >"$work/log" 2>&1 ||
        fail_with_log "the unpacked programs do not run here."
}

[ $# -le 1 ] || {
    say "usage: $0 [FOLDER]" >&2
    exit 1
}
case "${1:-}" in
-h | --help)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
-*)
    say "usage: $0 [FOLDER]" >&2
    exit 1
    ;;
esac
target=${1:-.apertium}

if is_whole "$target" && { [ -f "$target/packages.tsv" ] || [ -L "$target/usr" ]; }; then
    say "Apertium is already in place in $target."
    exit 0
fi
own "$target" || fail "$target is in the way: it exists and was not made by this script. Name another folder."

# shellcheck disable=SC2086  # a list of package names
if is_whole "" && dpkg-query -W apertium $PAIRS >/dev/null 2>&1; then
    rm -rf "$target"
    mkdir -p "$target"
    ln -s /usr "$target/usr"
    say "Apertium is already installed on this system; $target points to it."
    exit 0
fi

for program in apt-get apt-cache dpkg dpkg-deb; do
    command -v "$program" >/dev/null 2>&1 || fail "this system has no $program, and Apertium's packages are Debian's.
Use the Docker image instead:
    docker build -t backprompt . && docker run --rm -v \"\$PWD/lake:/lake\" backprompt"
done

parent=$(dirname "$target")
mkdir -p "$parent" 2>/dev/null || true
[ -w "$parent" ] || fail "no permission to write in $parent. Name another folder."
# Beside the target, so that the last step is a rename: the folder is there whole or not at all.
work=$(mktemp -d "$(cd "$parent" && pwd)/.apertium-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/packages" "$work/root"
lists=machine
write_status >"$work/status"
write_config >"$work/apt.conf"

fetch_packages
unpack
rm -rf "$target"
chmod 755 "$work/root"
mv -T "$work/root" "$target" 2>/dev/null || is_whole "$target" || fail "could not put the folder in place as $target."
say "Apertium is in place in $target: $(sed -n 's/^apertium	//p' "$target/packages.tsv"), $(du -sh "$target" | cut -f1)."
