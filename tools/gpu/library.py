"""libvlm by ctypes: compiled models on a GPU, entry point by entry point.

model = Model(libvlm, "m.vlm", isa="cuda:sm_90a", driver="")
outputs = model.run("encode_image", {"pixel_values": tensor((1, 3, 224, 224), "f32", data)})
"""

import array
import ctypes
import dataclasses
import random

CACHE = 6
DTYPES = {"f32": (0, 4), "i64": (1, 8), "i32": (2, 4)}


class LoadOptions(ctypes.Structure):
    _fields_ = [
        ("struct_bytes", ctypes.c_size_t),
        ("pool", ctypes.c_void_p),
        ("image_backend", ctypes.c_int),
        ("isa", ctypes.c_char_p),
        ("picture_cache_bytes", ctypes.c_int64),
        ("cuda_driver", ctypes.c_char_p),
    ]


class RawTensor(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("dtype", ctypes.c_int),
        ("rank", ctypes.c_int),
        ("dims", ctypes.c_int64 * 6),
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_size_t),
    ]


@dataclasses.dataclass
class Tensor:
    dims: tuple
    dtype: str
    data: ctypes.Array


def floats(dims, seed=1, scale=1.0):
    """Random numbers, a few thousand of them over and over."""
    count = 1
    for dim in dims:
        count *= dim
    numbers = random.Random(seed)
    some = array.array("f", (numbers.uniform(-scale, scale) for _ in range(min(count, 8191))))
    data = (some * (count // len(some) + 1))[:count].tobytes() if count else b""
    return Tensor(tuple(dims), "f32", ctypes.create_string_buffer(data, max(len(data), 1)))


def integers(values, dtype):
    code = {"i64": "q", "i32": "i"}[dtype]
    data = array.array(code, values).tobytes()
    return Tensor((1, len(values)), dtype, ctypes.create_string_buffer(data, max(len(data), 1)))


class ModelError(Exception):
    pass


class Model:
    def __init__(self, libvlm, package, isa, driver):
        self.vlm = ctypes.CDLL(libvlm)
        self.vlm.vlm_status_message.restype = ctypes.c_char_p
        for name in ("vlm_model_isa", "vlm_model_device", "vlm_entry_name"):
            getattr(self.vlm, name).restype = ctypes.c_char_p
        for name in ("vlm_entry_input_count", "vlm_entry_output_count"):
            getattr(self.vlm, name).restype = ctypes.c_size_t
        for function in (
            "vlm_status_message vlm_status_destroy vlm_model_load vlm_model_isa vlm_model_device vlm_entry_name"
            " vlm_entry_input_count vlm_entry_output_count vlm_model_entry vlm_entry_input vlm_entry_output"
            " vlm_entry_output_shapes vlm_entry_run vlm_cache_create vlm_cache_resize vlm_cache_destroy"
            " vlm_model_destroy"
        ).split():
            made = getattr(self.vlm, function)
            if made.restype is ctypes.c_int:
                made.restype = ctypes.c_void_p
        options = LoadOptions(ctypes.sizeof(LoadOptions), None, 0, isa.encode(), 0)
        options.cuda_driver = driver.encode() if driver else None
        self.model = ctypes.c_void_p()
        self.check(
            self.vlm.vlm_model_load(
                str(package).encode(), ctypes.byref(options), ctypes.byref(self.model)
            )
        )
        self.entries = {}

    def close(self):
        self.vlm.vlm_model_destroy(self.model)

    def check(self, status):
        if status:
            status = ctypes.c_void_p(status)
            message = self.vlm.vlm_status_message(status).decode()
            self.vlm.vlm_status_destroy(status)
            raise ModelError(message)

    def device(self):
        return self.vlm.vlm_model_device(self.model).decode()

    def entry(self, name):
        if name not in self.entries:
            made = ctypes.c_void_p()
            self.check(self.vlm.vlm_model_entry(self.model, name.encode(), ctypes.byref(made)))
            self.entries[name] = made
        return self.entries[name]

    def describe(self, name):
        """The inputs of an entry point: {name: (dtype, dims)}, -1 for what is any size."""
        entry, found = self.entry(name), {}
        for i in range(self.vlm.vlm_entry_input_count(entry)):
            one = RawTensor()
            self.check(self.vlm.vlm_entry_input(entry, ctypes.c_size_t(i), ctypes.byref(one)))
            found[one.name.decode()] = (one.dtype, tuple(one.dims[: one.rank]))
        return found

    def make_cache(self, tokens):
        cache = ctypes.c_void_p()
        self.check(
            self.vlm.vlm_cache_create(
                self.model, ctypes.c_int64(1), ctypes.c_int64(tokens), ctypes.byref(cache)
            )
        )
        return cache

    def resize(self, cache, tokens):
        self.check(self.vlm.vlm_cache_resize(cache, ctypes.c_int64(0), ctypes.c_int64(tokens)))

    def run(self, name, inputs, wanted, cache=None):
        """The wanted outputs as (dims, bytes), f32."""
        entry = self.entry(name)
        raw = []
        for key, value in inputs.items():
            number, size = DTYPES[value.dtype]
            one = RawTensor(key.encode(), number, len(value.dims))
            one.dims[: len(value.dims)] = value.dims
            one.data = ctypes.addressof(value.data)
            one.bytes = len(value.data) // size * size
            raw.append(one)
        for key, (dtype, dims) in self.describe(name).items() if cache else ():
            if dtype == CACHE:
                raw.append(RawTensor(key.encode(), CACHE, len(dims)))
                raw[-1].dims[: len(dims)] = dims
                raw[-1].data = cache
        given = (RawTensor * len(raw))(*raw)
        shapes = (RawTensor * self.vlm.vlm_entry_output_count(entry))()
        count = ctypes.c_size_t(len(raw))
        self.check(self.vlm.vlm_entry_output_shapes(entry, given, count, shapes))
        outputs, buffers = [], {}
        for shape in shapes:
            if shape.name.decode() in wanted:
                buffer = ctypes.create_string_buffer(max(shape.bytes, 1))
                shape.data = ctypes.addressof(buffer)
                outputs.append(shape)
                buffers[shape.name.decode()] = (tuple(shape.dims[: shape.rank]), buffer)
        made = (RawTensor * len(outputs))(*outputs)
        self.check(self.vlm.vlm_entry_run(entry, given, count, made, ctypes.c_size_t(len(outputs))))
        return buffers
