"""The peers of `model.py`, one per process; beside them stands crates/ild-train/examples/engine.rs."""

import argparse
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

import alternate


def images(batch, side):
    y, x = np.mgrid[0:side, 0:side].astype(np.float64)
    wave = np.sin(0.05 * x) * np.cos(0.03 * y)
    planes = np.stack([wave * (plane + 1) for plane in range(3)])
    return torch.tensor(np.stack([planes + 0.1 * i for i in range(batch)]), dtype=torch.float32)


def build(size, weights):
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from safetensors.torch import load_file

    name = {"t": "sam2_hiera_t", "t512": "sam2_hiera_t", "s": "sam2_hiera_s", "b+": "sam2_hiera_b+", "l": "sam2_hiera_l"}[size]
    overrides = ["++model.image_size=512"] if size == "t512" else []
    GlobalHydra.instance().clear()
    with initialize_config_module("sam2", version_base="1.2"):
        config = compose(config_name=f"configs/sam2/{name}.yaml", overrides=overrides)
        OmegaConf.resolve(config)
        model = instantiate(config.model, _recursive_=True)
    state = load_file(weights)
    known = model.state_dict()
    missing = [k for k in known if k not in state]
    model.load_state_dict({k: v for k, v in state.items() if k in known}, strict=False)
    if missing:
        print(f"{len(missing)} tensors stay as they were made, e.g. {missing[0]}", file=sys.stderr)
    return model


class Encoder(torch.nn.Module):
    """Image to (embedding, two high-resolution maps), as the reference's fine-tuning wrapper does."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image):
        out = self.model.forward_image(image)
        fpn = out["backbone_fpn"]
        b = image.shape[0]
        embed = fpn[2].flatten(2).permute(2, 0, 1) + self.model.no_mem_embed
        side = fpn[2].shape[-1]
        return embed.permute(1, 2, 0).reshape(b, -1, side, side), fpn[0], fpn[1]


class Decoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, embed, high0, high1, boxes):
        b = boxes.shape[0]
        coords = boxes.reshape(b, 2, 2)
        labels = torch.tensor([[2, 3]], dtype=torch.int32).repeat(b, 1)
        with torch.no_grad():
            sparse, dense = self.model.sam_prompt_encoder(points=(coords, labels), boxes=None, masks=None)
        masks, _, _, _ = self.model.sam_mask_decoder(
            image_embeddings=embed,
            image_pe=self.model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            repeat_image=False,
            high_res_features=[high0, high1],
        )
        return masks


def dice_and_cross_entropy(logits, masks):
    p = torch.sigmoid(logits)
    axes = (1, 2, 3)
    overlap = (p * masks).sum(axes)
    dice = 1 - (2 * overlap + 1e-5) / ((p * p).sum(axes) + (masks * masks).sum(axes) + 1e-5)
    return dice.mean() + F.binary_cross_entropy_with_logits(logits, masks)


class Torch:
    def __init__(self, args):
        self.model = build(args.model, args.weights).train()
        self.encoder, self.decoder = Encoder(self.model), Decoder(self.model)
        if args.engine == "compile":
            self.encoder, self.decoder = torch.compile(self.encoder), torch.compile(self.decoder)
        side = self.model.image_size
        self.images = images(args.batch, side)
        self.boxes = torch.tensor([[0.25 * side, 0.25 * side, 0.75 * side, 0.75 * side]]).repeat(args.batch, 1)
        self.masks = torch.zeros(args.batch, 1, 256, 256)
        self.masks[:, :, 64:192, 64:192] = 1
        trained = list(self.model.image_encoder.parameters()) + list(self.model.sam_mask_decoder.parameters())
        self.optimiser = torch.optim.AdamW(trained, lr=1e-6, weight_decay=0.01)
        self.features, self.remembered = None, None

    def encode(self):
        with torch.no_grad():
            self.features = self.encoder(self.images)
        return self.features[0].abs().mean()

    def decode(self):
        if self.features is None:
            self.encode()  # in the first round, which is not counted
        with torch.no_grad():
            return self.decoder(*self.features, self.boxes).abs().mean()

    def forward(self):
        with torch.no_grad():
            return self.decoder(*self.encoder(self.images), self.boxes).abs().mean()

    def memory(self):
        """A tracked frame whose bank is full, in eval mode, as the video predictor has it (maps in bf16, the prompted one binarised)."""
        model = self.model.eval()
        with torch.no_grad():
            if self.remembered is None:
                model.binarize_mask_from_pts_for_mem_enc = True
                _, feats, codes, sizes = model._prepare_backbone_features(model.forward_image(self.images))
                self.frame = dict(current_vision_feats=feats, current_vision_pos_embeds=codes, feat_sizes=sizes, mask_inputs=None, num_frames=100)
                box = dict(point_coords=self.boxes.reshape(1, 2, 2), point_labels=torch.tensor([[2, 3]], dtype=torch.int32))
                first = model.track_step(0, is_init_cond_frame=True, point_inputs=box, output_dict={}, **self.frame)
                first["maskmem_features"] = first["maskmem_features"].to(torch.bfloat16)
                self.remembered = dict(cond_frame_outputs={0: first}, non_cond_frame_outputs={t: first for t in range(1, 16)})
            found = model.track_step(16, is_init_cond_frame=False, point_inputs=None, output_dict=self.remembered, **self.frame)
            return found["pred_masks"].abs().mean() + found["maskmem_features"].abs().mean()

    def step(self):
        loss = dice_and_cross_entropy(self.decoder(*self.encoder(self.images), self.boxes), self.masks)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()


class Exported:
    """The encoder as an ONNX graph."""

    def __init__(self, args):
        model = build(args.model, args.weights).eval()
        self.images = images(args.batch, model.image_size)
        path = pathlib.Path(args.weights).with_suffix(".onnx")
        if not path.exists():
            torch.onnx.export(Encoder(model), (self.images,), str(path), opset_version=17, dynamo=False)
        if args.engine == "onnxruntime":
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = args.threads
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            name = session.get_inputs()[0].name
            self.call = lambda: session.run(None, {name: self.images.numpy()})[0]
        else:
            import openvino

            core = openvino.Core()
            settings = {"INFERENCE_NUM_THREADS": args.threads, "INFERENCE_PRECISION_HINT": args.precision, "PERFORMANCE_HINT": "LATENCY"}
            compiled = core.compile_model(str(path), "CPU", settings)
            self.call = lambda: compiled(self.images.numpy())[0]

    def encode(self):
        return np.abs(self.call()).mean()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", choices=["eager", "compile", "onnxruntime", "openvino"], default="eager")
    parser.add_argument("--model", default="t")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="f32", help="OpenVINO: f32 or bf16")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    engine = Torch(args) if args.engine in ("eager", "compile") else Exported(args)
    alternate.serve(lambda request: getattr(engine, request)())


if __name__ == "__main__":
    main()
