"""MONAI Label's own client (PyPI: monailabel) walks through a server: info, next sample, infer, save, train, status.

usage: walk.py URL LABEL.nii.gz CT.nii.gz
"""

import json
import os
import sys
import tempfile
import time

from monailabel.client.client import MONAILabelClient

url, label, ct = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    client = MONAILabelClient(url, tmpdir=folder, client_id="walk")
    assert not client.auth_enabled()
    info = client.info()
    assert info["models"]["ild_click"]["type"] == "deepgrow", info

    sample = client.next_sample("first", {})
    assert sample["id"] == "a" and os.path.exists(sample["path"]), sample

    points = {"label": "Honeycombing", "foreground": [[38, 14, 6]], "background": [[2, 2, 6]]}
    params, file = None, None
    file, params = client.infer("ild_click", "a", points)
    assert file and file.endswith(".nrrd"), (file, params)
    assert params["label_names"] == {"Honeycombing": 1}, params
    head = open(file, "rb").read().split(b"\n\n")[0].decode()
    assert "left-posterior-superior" in head and "sizes: 56 48 10" in head, head

    session = client.create_session(ct)
    assert client.get_session(session["session_id"])["name"] == session["session_id"]
    file, params = client.infer("ild_click", "whatever", points, session_id=session["session_id"])
    assert file, params
    client.remove_session(session["session_id"])

    client.upload_image(ct, image_id="from_client", params={})
    saved = client.save_label("a", label, tag="final", params={"label_info": []})
    assert saved["label"] == "a", saved
    store = client.datastore()
    assert "final" in store["objects"]["a"]["labels"], store
    back = client.download_label("a", "final")
    assert os.path.getsize(back) > 0

    assert client.next_sample("first", {})["id"] == "b"
    client.train_start("ild", {"max_epochs": 1})
    assert client.train_status(check_if_running=True)
    for _ in range(200):
        status = client.train_status()
        if status["status"] != "RUNNING":
            break
        time.sleep(0.05)
    assert status["status"] == "DONE", status
    try:
        client.infer("no_such_model", "a", {})
    except Exception as error:
        assert "expected the model" in str(error) + str(getattr(error, "msg", "")) + str(getattr(error, "response", "")), error
    else:
        raise AssertionError("a model that is none was answered")
print(json.dumps({"walked": True}))
