"""Certificates for tests, made by the openssl command line: authorities and what they sign."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from conftest import require_program


class Issued(NamedTuple):
    """Files of one certificate; ``both`` holds it and its key."""

    cert: str
    key: str
    both: str


class Authority:
    """One that signs, in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        require_program("openssl", "openssl")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.cert = str(folder / f"{name}.crt")
        self._key = str(folder / f"{name}.key")
        subject = ("-subj", f"/O=crosspane/CN={name}", "-days", "30")
        self._openssl(
            *("req", "-x509", *_KEY, *subject, "-keyout", self._key, "-out", self.cert),
            *("-addext", "basicConstraints=critical,CA:TRUE"),
        )

    def issue(
        self, name: str, alt_names: str, days: int = 30, subject: str = "/O=crosspane"
    ) -> Issued:
        """Sign one for ``alt_names`` (``DNS:localhost,URI:spiffe://...``); -1 days expired yesterday."""
        cert, key, both = (str(self.folder / f"{name}.{end}") for end in ("crt", "key", "pem"))
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alt_names}\nbasicConstraints=CA:FALSE\n")
        self._openssl("req", "-new", *_KEY, "-subj", subject, "-keyout", key, "-out", str(request))
        self._openssl(
            *("x509", "-req", "-in", str(request), "-CA", self.cert, "-CAkey", self._key),
            *("-CAcreateserial", "-days", str(days), "-extfile", str(extensions), "-out", cert),
        )
        Path(both).write_text(Path(cert).read_text() + Path(key).read_text())
        return Issued(cert, key, both)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
