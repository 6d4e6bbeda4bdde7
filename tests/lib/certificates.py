"""Certificates for a TLS target, made by the openssl program."""

import os
import ssl
import subprocess

LOCAL = "DNS:localhost,IP:127.0.0.1,IP:::1"


class Authority:
    """A CA of its own in a directory; `path` is what `ca_file` names."""

    def __init__(self, directory, name="authority"):
        self.directory = directory
        self.name = name
        self.path = self._file(name, "pem")
        self._openssl("req", "-x509", *NEW_KEY, self._file(name, "key"),
                      "-subj", f"/CN=polysocket test {name}", "-days", "30",
                      "-out", self.path)

    def context(self, names=LOCAL, days=30):
        """A server's SSLContext; a negative number of days has expired."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate(names, days))
        return context

    def certificate(self, names=LOCAL, days=30):
        """Its files: certificate and key."""
        stem = f"{self.name}-{abs(hash((names, days)))}"
        cert, key, request = (self._file(stem, suffix)
                              for suffix in ("pem", "key", "csr"))
        self._openssl("req", *NEW_KEY, key, "-subj", "/CN=target",
                      "-addext", "subjectAltName=" + names, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.path,
                      "-CAkey", self._file(self.name, "key"),
                      "-CAcreateserial", "-days", str(days),
                      "-copy_extensions", "copy", "-out", cert)
        return cert, key

    def _file(self, stem, suffix):
        return os.path.join(self.directory, f"{stem}.{suffix}")

    @staticmethod
    def _openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
           "-nodes", "-keyout")
