"""The bill of materials names every package of the list, and is the same for the same list."""
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = "libnng1\t1.10.1-2+b1\tamd64\tnng\nlibc6\t2.41-12\tamd64\tglibc\nlibstdc++6\t14.2.0-19\tamd64\tgcc-14\n"


def sbom(path, *more):
    return subprocess.run([ROOT / "script/sbom", path, *more], capture_output=True, text=True)


def test_each_package_is_named_with_its_purl(tmp_path):
    path = tmp_path / "packages.tsv"
    path.write_text(LIST)
    made = json.loads(sbom(path, "1.0", "1700000000").stdout)
    assert made["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    top, *packages = made["packages"]
    assert (top["name"], top["versionInfo"]) == ("foliopost", "1.0")
    assert [(p["name"], p["versionInfo"]) for p in packages] == sorted(tuple(x.split("\t")[:2]) for x in LIST.splitlines())
    assert packages[2]["externalRefs"][0]["referenceLocator"] == "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=debian-13"
    ids = [p["SPDXID"] for p in made["packages"]]
    assert len(set(ids)) == len(ids)
    assert {r["relatedSpdxElement"] for r in made["relationships"]} == set(ids)


def test_the_order_of_the_list_does_not_matter(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text(LIST)
    other.write_text("\n".join(reversed(LIST.splitlines())) + "\n")
    assert sbom(one, "1.0", "0").stdout == sbom(other, "1.0", "0").stdout != ""


def test_a_list_of_another_form_is_refused(tmp_path):
    path = tmp_path / "packages.tsv"
    for text in ("", "libnng1 1.10\n"):
        path.write_text(text)
        assert sbom(path, "1.0").returncode != 0
