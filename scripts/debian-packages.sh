# Functions that put programs of Debian's packages into a folder, without root. Sourced by the scripts beside it, which
# set before they call anything:
#
#   script    name of the script, for messages
#   product   what is put in place, for messages
#   packages  names of the packages that are asked for; fetched even if they are installed, so that the folder holds them
#   theirs    regular expression of awk: beginnings of names of other packages that are fetched even if they are
#             installed; empty for none
#   unused    packages that are needed by no program that is run; apt is told that they are installed
#
# They define is_whole ROOT: true if ROOT holds all that is wanted.

say() { printf '%s\n' "$*"; }

fail() {
    say "$script: $*" >&2
    exit 2
}

fail_with_log() {
    tail -n 5 "$work/log" | sed 's/^/    /' >&2
    fail "$1"
}

# Reads the arguments of the script into target; $1 is the folder where none is given.
read_arguments() {
    target=$1
    shift
    [ $# -le 1 ] || wrong_usage
    case "${1:-}" in
    -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    -*) wrong_usage ;;
    esac
    target=${1:-$target}
}

wrong_usage() {
    say "usage: $0 [FOLDER]" >&2
    exit 1
}

# library_path ROOT: the folders below ROOT that hold shared libraries, joined by colons.
library_path() {
    path=
    for folder in "$1"/usr/lib/*-linux-* "$1"/lib/*-linux-*; do
        [ -d "$folder" ] && path="${path:+$path:}$folder"
    done
    say "$path"
}

# own FOLDER: true if FOLDER may be replaced: absent, empty, or made by such a script.
own() {
    [ ! -e "$1" ] || [ -f "$1/packages.tsv" ] || [ -L "$1/usr" ] || { [ -d "$1" ] && [ -z "$(ls -A "$1")" ]; }
}

# Ends the script if target is in place, or is somebody else's.
look_at_target() {
    if is_whole "$target" && { [ -f "$target/packages.tsv" ] || [ -L "$target/usr" ]; }; then
        say "$product is already in place in $target."
        exit 0
    fi
    own "$target" || fail "$target is in the way: it exists and was not made by this script. Name another folder."
}

# need_apt ADVICE: fails with ADVICE where packages cannot be had at all.
need_apt() {
    for program in apt-get apt-cache dpkg dpkg-deb; do
        command -v "$program" >/dev/null 2>&1 ||
            fail "this system has no $program, and $product's packages are Debian's.
$1"
    done
}

# Makes the folder to work in: beside the target, so that the last step is a rename and the target is there whole or
# not at all.
make_work() {
    parent=$(dirname "$target")
    mkdir -p "$parent" 2>/dev/null || true
    [ -w "$parent" ] || fail "no permission to write in $parent. Name another folder."
    work=$(mktemp -d "$(cd "$parent" && pwd)/.$script.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/packages" "$work/root"
    lists=machine
    write_status >"$work/status"
    write_config >"$work/apt.conf"
}

# What apt believes to be installed: the machine's packages, without `theirs`, so that those are all fetched, and with
# `unused`.
write_status() {
    awk -v theirs="$theirs" 'BEGIN { RS = ""; ORS = "\n\n" } theirs == "" || $0 !~ "^Package: (" theirs ")"' \
        /var/lib/dpkg/status
    for package in $unused; do
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
# no failure here: only whether the lists know the packages counts.
fetch_lists() {
    say "Getting package lists ..."
    printf 'Dir::State::Lists "%s/lists";\n' "$work" >>"$work/apt.conf"
    apt-get -c "$work/apt.conf" -qq update >"$work/log" 2>&1 || true
    lists=fresh
}

lists_know_packages() {
    for package in $packages; do
        apt-cache -c "$work/apt.conf" show "$package" >/dev/null 2>&1 || return 1
    done
}

# Writes name=version of all packages to fetch to work/wanted.
resolve() {
    # shellcheck disable=SC2086  # a list of package names
    apt-get -c "$work/apt.conf" -s install --reinstall $packages >"$work/log" 2>&1 || return 1
    awk '$1 == "Inst" { name = $2; $1 = $2 = ""; sub(/^ *(\[[^]]*\] *)?\(/, ""); sub(/ .*/, ""); print name "=" $0 }' \
        "$work/log" | grep -v -e '-dev=' >"$work/wanted"
    if grep -q '^libc6=' "$work/wanted"; then
        say "$product needs a newer C library than this system has; upgrade the system first." >>"$work/log"
        return 1
    fi
}

download() {
    say "Downloading $(wc -l <"$work/wanted" | tr -d ' ') packages ..."
    # shellcheck disable=SC2046  # one word per package
    (cd "$work/packages" && apt-get -c "$work/apt.conf" -qq download $(cat "$work/wanted")) >"$work/log" 2>&1
}

# fetch_packages ADVICE: downloads all that is needed; ADVICE is for a system whose lists do not know the packages.
fetch_packages() {
    if ! lists_know_packages; then
        fetch_lists
        lists_know_packages || fail_with_log "no package list with $product could be had. Is there a network?
$1"
    fi
    resolve || fail_with_log "apt cannot say which packages $product needs here."
    if ! download; then
        # The machine's lists may name versions that the servers no longer hold.
        [ "$lists" = fresh ] && fail_with_log "the packages could not be downloaded. Is there a network?"
        fetch_lists
        lists_know_packages || fail_with_log "the packages could not be downloaded. Is there a network?"
        resolve || fail_with_log "apt cannot say which packages $product needs here."
        download || fail_with_log "the packages could not be downloaded. Is there a network?"
    fi
}

unpack_packages() {
    for package in "$work"/packages/*.deb; do
        dpkg-deb -x "$package" "$work/root"
        # shellcheck disable=SC2016  # the format is dpkg's
        dpkg-deb -W --showformat='${Package}\t${Version}\n' "$package" >>"$work/root/packages.tsv"
    done
}

# put_in_place PACKAGE: moves what was unpacked to target and names PACKAGE's version.
put_in_place() {
    rm -rf "$target"
    chmod 755 "$work/root"
    mv -T "$work/root" "$target" 2>/dev/null || is_whole "$target" || fail "could not put the folder in place as $target."
    say "$product is in place in $target: $(sed -n "s/^$1	//p" "$target/packages.tsv"), $(du -sh "$target" | cut -f1)."
}
