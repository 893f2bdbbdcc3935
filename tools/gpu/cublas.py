"""cuBLASLt by ctypes: how fast a large product can be."""

import ctypes

F16, F32, COMPUTE_F32 = 2, 0, 68
TRANSPOSE_A, TRANSPOSED, MAX_WORKSPACE = 3, 1, 1
NOT_SUPPORTED = 15
WORKSPACE = 64 << 20


class Heuristic(ctypes.Structure):
    _fields_ = [
        ("algorithm", ctypes.c_uint64 * 8),
        ("workspace", ctypes.c_size_t),
        ("state", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    ]


def open_library():
    for name in ("libcublasLt.so.13", "libcublasLt.so.12"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def teraflops(driver, size):
    """Of a square product of f16 with sums in f32; None: there is no library, or it makes none."""
    library = open_library()
    if library is None or driver.is_emulated:
        return None

    def call(name, *arguments):
        status = getattr(library, "cublasLt" + name)(*arguments)
        if status:
            raise RuntimeError(f"cublasLt{name} failed with {status}")

    def made(name, *arguments):
        out = ctypes.c_void_p()
        call(name, ctypes.byref(out), *arguments)
        return out

    handle = made("Create")
    operation = made("MatmulDescCreate", COMPUTE_F32, F32)
    transposed = ctypes.c_int(TRANSPOSED)
    call(
        "MatmulDescSetAttribute",
        *[operation, TRANSPOSE_A, ctypes.byref(transposed), ctypes.c_size_t(4)],
    )
    side = ctypes.c_uint64(size)
    layouts = [made("MatrixLayoutCreate", F16, side, side, ctypes.c_int64(size)) for _ in range(3)]
    preference = made("MatmulPreferenceCreate")
    most = ctypes.c_size_t(WORKSPACE)
    call(
        "MatmulPreferenceSetAttribute",
        *[preference, MAX_WORKSPACE, ctypes.byref(most), ctypes.c_size_t(8)],
    )
    found, best = ctypes.c_int(), Heuristic()
    a, b, d = layouts
    status = library.cublasLtMatmulAlgoGetHeuristic(
        *[handle, operation, a, b, d, d, preference, 1, ctypes.byref(best), ctypes.byref(found)],
    )
    if status not in (0, NOT_SUPPORTED):
        raise RuntimeError(f"cublasLtMatmulAlgoGetHeuristic failed with {status}")
    if status or not found.value or best.state:
        return None
    one, none = ctypes.c_float(1), ctypes.c_float(0)

    def work(places):
        call(
            "Matmul",
            *[handle, operation, ctypes.byref(one), places[0], a, places[1], b],
            *[ctypes.byref(none), places[2], d, places[2], d, ctypes.byref(best.algorithm)],
            *[places[3], ctypes.c_size_t(WORKSPACE), driver.stream],
        )

    blocks = []
    try:
        for bytes_of in (*[2 * size * size] * 3, WORKSPACE):
            blocks.append(driver.allocate(bytes_of))
        for block in blocks[:2]:
            # 0x3000 is 0.125 in f16; products of many equal numbers take as long.
            driver.upload(block, b"\x00\x30\x00\xb0" * (size * size // 2))
        places = [ctypes.c_void_p(block) for block in blocks]
        seconds = min(driver.time(lambda: work(places), 20) for _ in range(3))
    finally:
        for block in blocks:
            driver.free(block)
    return 2 * size**3 / seconds / 1e12
