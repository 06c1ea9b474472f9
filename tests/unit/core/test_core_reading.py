import hashlib

import pytest

from videoldm.core.errors import InputError
from videoldm.core.reading import file_hash


def test_hash_is_of_the_bytes_alone(tmp_path):
    data = bytes(range(256)) * 10_000
    (tmp_path / "one").write_bytes(data)
    (tmp_path / "two.mp4").write_bytes(data)
    (tmp_path / "three").write_bytes(data[:-1])
    expected = hashlib.blake2b(data, digest_size=20).hexdigest()
    assert file_hash(tmp_path / "one") == file_hash(tmp_path / "two.mp4") == expected
    assert file_hash(tmp_path / "three") != expected


def test_hash_of_nothing(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        file_hash(tmp_path / "missing")
