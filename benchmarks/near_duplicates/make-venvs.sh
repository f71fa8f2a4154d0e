#!/bin/sh
# Makes the virtual environments of the tools that the project is compared with, below FOLDER:
#
#     make-venvs.sh FOLDER [sketches] [wikitext] [text-dedup] [text-dedup-spark]
#
# Without names, all of them. One that is complete is left as it is. PYTHON names the interpreter that makes them.
set -eu

[ $# -ge 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1
shift
[ $# -gt 0 ] || set -- sketches wikitext text-dedup text-dedup-spark

for name in "$@"; do
    case $name in
        sketches | wikitext | text-dedup | text-dedup-spark) ;;
        *)
            echo "No environment is called $name; there are sketches, wikitext, text-dedup and text-dedup-spark." >&2
            exit 2 ;;
    esac
    [ ! -e "$folder/$name/.complete" ] || continue
    echo "Making $folder/$name ..."
    rm -rf "${folder:?}/$name"
    mkdir -p "$folder"
    "${PYTHON:-python3}" -m venv "$folder/$name"
    pip="$folder/$name/bin/python -m pip install --quiet --disable-pip-version-check"
    case $name in
        sketches)
            $pip rensa==0.5.0 datasketch==2.0.0 pyarrow numpy ;;
        wikitext)
            $pip wikiextractor==3.1.0 ;;
        text-dedup)
            $pip text-dedup==0.4.0 ;;
        text-dedup-spark)
            # The tool asks for packages that its Spark script does not use.
            $pip pyspark==4.1.2 xxhash scipy numpy pandas pyarrow rich click click-option-group tqdm datasets regex \
                bitarray
            $pip --no-deps text-dedup==0.4.0 ;;
    esac
    touch "$folder/$name/.complete"
done
