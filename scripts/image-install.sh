#!/bin/sh
# What the build stage of the Dockerfile does, and `make image-check` repeats in a folder of its own.
#
# usage: image-install.sh wheels REQUIREMENTS COMPILE WHEELS   fetch or build every dependency, each checked by its hash
#        image-install.sh install SOURCE WHEELS PREFIX         build Sidegate, install it with what it needs, nothing else
#
# WHEELS holds the wheels and, in .tools, the environment that makes them, with what COMPILE names for compiling the data
# path; PREFIX becomes an environment without pip. SIDEGATE_COMPILE=1 compiles, which takes a C compiler.
set -eu

python=${PYTHON:-python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_CACHE_DIR=1

case ${1:-} in
wheels)
    requirements=$2 compile=$3 wheels=$4
    "$python" -m venv "$wheels/.tools"
    # Dependencies of the build are locked with the others: installed here, they never reach PREFIX.
    "$wheels/.tools/bin/pip" wheel --quiet --require-hashes --no-deps --requirement "$requirements" --wheel-dir "$wheels"
    "$wheels/.tools/bin/pip" install --quiet --no-index --no-deps "$wheels"/*.whl
    # What compiles stays among the tools: it is no dependency of what runs.
    "$wheels/.tools/bin/pip" wheel --quiet --require-hashes --no-deps --requirement "$compile" --wheel-dir "$wheels/.compile"
    "$wheels/.tools/bin/pip" install --quiet --no-index --no-deps "$wheels"/.compile/*.whl
    ;;
install)
    source=$2 wheels=$3 prefix=$4
    # Twice the same source, twice the same wheel: no times in it but this one.
    export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-315532800}"
    "$wheels/.tools/bin/pip" wheel --quiet --no-deps --no-build-isolation --wheel-dir "$wheels/.own" "$source"
    "$python" -m venv --without-pip "$prefix"
    "$wheels/.tools/bin/pip" --python "$prefix/bin/python" install --quiet --no-compile --no-index \
        --find-links "$wheels" "$wheels"/.own/*.whl
    packages=$("$prefix/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    # Nothing of this runs: other programs' scripts, tests, sources of compiled modules.
    find "$prefix/bin" -type f ! -name sidegate -delete
    find "$packages" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
    find "$packages" -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' -o -name '*.pyi' \) -delete
    # Symbols for debuggers are a third of it all.
    if command -v strip >/dev/null; then
        find "$packages" -type f -name '*.so*' -exec strip --strip-unneeded {} +
    else
        echo "image-install: there is no strip here (package binutils): modules keep their symbols" >&2
    fi
    # The tree is read-only at run time, so bytecode is made now; unchecked, as no source changes any more.
    "$prefix/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$packages"
    ;;
*)
    echo "usage: image-install.sh wheels REQUIREMENTS COMPILE WHEELS | install SOURCE WHEELS PREFIX" >&2
    exit 2
    ;;
esac
