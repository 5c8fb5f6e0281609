"""The members of a ZIP archive: where their bytes lie, and whether the archive is honest about it."""

import zipfile
from collections import Counter

LOCAL_HEADER = 30
"""Bytes of a local header before the name (APPNOTE, 4.3.7)."""


def require_honest(archive: zipfile.ZipFile) -> None:
    """Raise BadZipFile if members overlap, lie outside the archive, or have the same name.

    Members that share bytes unpack to far more than the size of each one shows (D. Fifield, "A better zip bomb"). Of
    two members with one name, `ZipFile.open` reads only the last. Python 3.11.7 checks neither.
    """
    names = Counter(info.filename for info in archive.infolist())
    if twice := next((name for name, count in names.items() if count > 1), None):
        raise zipfile.BadZipFile(f"two files in it are named {twice}")
    # The local header may have a longer extra field than the directory says, so this is the least size of a member.
    begin = sorted((info.header_offset, _least_end(info)) for info in archive.infolist())
    for (_, end), (after, _) in zip(begin, [*begin[1:], (archive.start_dir, 0)], strict=True):
        if end > after:
            raise zipfile.BadZipFile("files in it overlap")


def _least_end(info: zipfile.ZipInfo) -> int:
    return info.header_offset + LOCAL_HEADER + len(info.orig_filename.encode()) + info.compress_size
