"""What of the host's /etc is inside: named one by one, readable by everyone, and free of secrets.

Everything else there (shadow, keys, mail and network settings, service accounts) does not exist inside.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from .bundle import HOSTNAME

NAMES = (
    # the dynamic linker
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
    # which programs and which distribution
    "alternatives", "debian_version", "lsb-release", "os-release", "redhat-release", "fedora-release", "arch-release",
    # time, text, terminals
    "localtime", "timezone", "locale.alias", "locale.conf", "inputrc", "terminfo", "bash.bashrc", "bash_completion",
    # names of protocols and kinds
    "mime.types", "magic", "services", "protocols", "rpc", "ethertypes", "gai.conf", "host.conf", "xattr.conf",
    # certificates: public ones only, see `_copy_file`
    "ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "ca-certificates", "ca-certificates.conf", "pki/tls/certs",
    "pki/tls/cert.pem", "pki/tls/openssl.cnf", "pki/ca-trust", "pki/java", "crypto-policies",
    # languages
    "perl", "python3", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14",
    "java-8-openjdk", "java-11-openjdk", "java-17-openjdk", "java-21-openjdk", "java-25-openjdk", ".java", "java",
    "maven/m2.conf", "maven/logging", "maven/toolchains.xml", "jvm", "php", "lua", "ghc", "R", "emacs", "gdb",
    "fonts", "ImageMagick-6", "ImageMagick-7", "vim", "nanorc", "groff", "manpath.config", "papersize",
    # users and packages, for root inside
    "login.defs", "adduser.conf", "deluser.conf", "pam.conf", "pam.d", "security", "shells", "skel", "debconf.conf",
    "dpkg", "apt", "ucf.conf", "update-motd.d", "default/useradd", "default/locale", "kernel-img.conf",
)  # fmt: skip

NEVER = re.compile(
    r"(^|/)(auth\.conf(\.d)?|private|.*\.key|.*secret.*|passwords?(\..*)?|opasswd|machine-id)$", re.IGNORECASE
)
"""Names that stay out even where they are readable."""

_LARGEST = 4 << 20
_USERINFO = re.compile(rb"[a-z][a-z0-9+.-]*://[^/\s\"';]*@", re.IGNORECASE)
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY")

CA_FILES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "NIX_SSL_CERT_FILE",
    "DENO_CERT",
    "AWS_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
)
"""Variables by which programs find a bundle of certificate authorities. Set inside if set outside."""


def safe_content(content: bytes) -> bool:
    """Whether a configuration file holds neither a private key nor a URL with a name and password."""
    return not (_PRIVATE_KEY.search(content) or _USERINFO.search(content))


def _copy_file(source: Path, target: Path) -> None:
    try:
        found = source.stat()
        if not stat.S_ISREG(found.st_mode) or not found.st_mode & stat.S_IROTH or found.st_size > _LARGEST:
            return
        content = source.read_bytes()
    except OSError:
        return
    if not safe_content(content):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.chmod(0o755 if found.st_mode & 0o111 else 0o644)


def _copy(source: Path, target: Path) -> None:
    if NEVER.search(str(source)):
        return
    if source.is_symlink():
        link = os.readlink(source)
        absolute = os.path.normpath(os.path.join(source.parent, link))
        # A link to what is inside as well stays one; any other becomes a copy of what it points to.
        if absolute.startswith(("/usr/", "/etc/", "/proc/", "/opt/")):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(link)
        elif source.is_file():
            _copy_file(source, target)
    elif source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        try:
            entries = list(source.iterdir())
        except OSError:
            return
        for entry in entries:
            _copy(entry, target / entry.name)
    else:
        _copy_file(source, target)


def copy(host: Path, root: Path) -> None:
    """Copy what `NAMES` lists from the folder `host` (the host's /etc) to `root`/etc."""
    for name in NAMES:
        if os.path.lexists(host / name):
            _copy(host / name, root / "etc" / name)


def synthesize(root: Path) -> None:
    """Write the files that must differ from the host's."""
    nologin = "/usr/sbin/nologin"
    files = {
        "passwd": f"root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:{nologin}\nbin:x:2:2::/bin:{nologin}\n"
        f"sys:x:3:3::/dev:{nologin}\nman:x:6:12::/var/cache/man:{nologin}\nmail:x:8:8::/var/mail:{nologin}\n"
        f"www-data:x:33:33::/var/www:{nologin}\n_apt:x:42:65534::/nonexistent:{nologin}\n"
        f"nobody:x:65534:65534:nobody:/nonexistent:{nologin}\n",
        "group": "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nmail:x:8:\nman:x:12:\n"
        "sudo:x:27:\nwww-data:x:33:\nshadow:x:42:\nutmp:x:43:\nstaff:x:50:\nusers:x:100:\nnogroup:x:65534:\n",
        # An entry each, or PAM refuses even root's `su`; `*` is no password's hash.
        "shadow": "".join(
            f"{name}:*:19000:0:99999:7:::\n"
            for name in ("root", "daemon", "bin", "sys", "man", "mail", "www-data", "_apt", "nobody")
        ),
        "gshadow": "root:*::\n",
        "hosts": f"127.0.0.1 localhost {HOSTNAME}\n::1 localhost ip6-localhost ip6-loopback\n",
        "hostname": f"{HOSTNAME}\n",
        "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n"
        "protocols: files\nservices: files\nethers: files\nrpc: files\n",
        "fstab": "",
        "machine-id": "",
        # Login shells must not undo the PATH that runs have.
        "profile": 'if [ -n "${BASH_VERSION-}" ] && [ -f /etc/bash.bashrc ]; then . /etc/bash.bashrc; fi\n'
        'for i in /etc/profile.d/*.sh; do if [ -r "$i" ]; then . "$i"; fi; done; unset i\n',
    }
    etc = root / "etc"
    etc.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (etc / name).unlink(missing_ok=True)
        (etc / name).write_text(text)
        (etc / name).chmod(0o640 if name.endswith("shadow") else 0o644)
    (etc / "profile.d").mkdir(exist_ok=True)
    if not (etc / "mtab").is_symlink():
        (etc / "mtab").symlink_to("/proc/mounts")
    if (etc / "apt").is_dir():
        (etc / "apt" / "apt.conf.d").mkdir(exist_ok=True)
        # apt would become the user _apt, which a sandbox of an ordinary user cannot.
        (etc / "apt" / "apt.conf.d" / "99continue-exec").write_text('APT::Sandbox::User "root";\n')


def certificates(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Make the authorities that the host's variables name trusted inside; the variables to set there.

    A bundle that is inside at its own path keeps it; any other is copied to /etc/continue-exec/ca.
    """
    env: dict[str, str] = {}
    for name in CA_FILES:
        value = environ.get(name, "")
        if not value.startswith("/") or not os.path.isfile(value):
            continue
        if value.startswith("/usr/") or os.path.lexists(root / value.lstrip("/")):
            env[name] = value
            continue
        try:
            content = Path(value).read_bytes()
        except OSError:
            continue
        if _PRIVATE_KEY.search(content):
            continue
        inside = f"/etc/continue-exec/ca/{name}.pem"
        target = root / inside.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        env[name] = inside
    folder = environ.get("SSL_CERT_DIR", "")
    if folder.startswith("/") and (folder.startswith("/usr/") or os.path.isdir(root / folder.lstrip("/"))):
        env["SSL_CERT_DIR"] = folder
    return env


def clear(folder: Path) -> None:
    """Remove a half-built layer."""
    shutil.rmtree(folder, ignore_errors=True)
