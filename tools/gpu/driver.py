"""A CUDA driver by ctypes: what the checks need of it, and nothing else.

driver = Driver("libcuda.so.1")
block = driver.allocate(1 << 20)
function = driver.function(driver.load(ptx=text, bitcode=None), "scale")
driver.launch(function, (8, 1, 1), 128, 0, [block, 1024])
driver.wait()
"""

import ctypes
import time


class DriverError(Exception):
    pass


class Driver:
    def __init__(self, path):
        try:
            self.cuda = ctypes.CDLL(path)
        except OSError as error:
            raise DriverError(f"there is no CUDA driver: {error}") from error
        self.is_emulated = hasattr(self.cuda, "vlmc_emulated_load")
        self.check(self.cuda.cuInit(0), "starting the driver")
        count = ctypes.c_int()
        self.check(self.cuda.cuDeviceGetCount(ctypes.byref(count)), "counting GPUs")
        if count.value == 0:
            raise DriverError("the driver finds no GPU")
        self.device = ctypes.c_int()
        self.check(self.cuda.cuDeviceGet(ctypes.byref(self.device), 0), "taking the first GPU")
        context = ctypes.c_void_p()
        self.check(
            self.cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), self.device),
            "taking the GPU's context",
        )
        self.check(self.cuda.cuCtxSetCurrent(context), "taking the GPU's context")
        self.stream = ctypes.c_void_p()
        self.check(self.cuda.cuStreamCreate(ctypes.byref(self.stream), 1), "making a stream")

    def check(self, result, doing):
        if result == 0:
            return
        name = ctypes.c_char_p()
        self.cuda.cuGetErrorName(result, ctypes.byref(name))
        words = name.value.decode() if name.value else f"error {result}"
        raise DriverError(f"{doing} failed with {words}")

    def name(self):
        text = ctypes.create_string_buffer(256)
        self.check(self.cuda.cuDeviceGetName(text, 256, self.device), "asking the GPU's name")
        return text.value.decode()

    def attribute(self, number):
        value = ctypes.c_int()
        self.check(
            self.cuda.cuDeviceGetAttribute(ctypes.byref(value), number, self.device),
            "asking about the GPU",
        )
        return value.value

    def capability(self):
        return self.attribute(75), self.attribute(76)

    def version(self):
        value = ctypes.c_int()
        self.check(self.cuda.cuDriverGetVersion(ctypes.byref(value)), "asking the version")
        return value.value

    # -- memory

    def allocate(self, size):
        made = ctypes.c_uint64()
        self.check(
            self.cuda.cuMemAlloc_v2(ctypes.byref(made), ctypes.c_size_t(max(size, 1))),
            f"making room for {size} bytes",
        )
        return made.value

    def free(self, address):
        self.cuda.cuMemFree_v2(ctypes.c_uint64(address))

    def upload(self, address, data):
        self.check(
            self.cuda.cuMemcpyHtoD_v2(
                ctypes.c_uint64(address), ctypes.c_char_p(bytes(data)), ctypes.c_size_t(len(data))
            ),
            "copying to the GPU",
        )
        # Memory that is not pinned may be on its way still, and no other stream waits.
        self.check(self.cuda.cuStreamSynchronize(None), "copying to the GPU")

    def download(self, address, size):
        data = ctypes.create_string_buffer(size)
        self.check(
            self.cuda.cuMemcpyDtoH_v2(data, ctypes.c_uint64(address), ctypes.c_size_t(size)),
            "copying from the GPU",
        )
        return data.raw

    def copy(self, to, source, size):
        self.check(
            self.cuda.cuMemcpyDtoDAsync_v2(
                ctypes.c_uint64(to), ctypes.c_uint64(source), ctypes.c_size_t(size), self.stream
            ),
            "copying on the GPU",
        )

    # -- code

    def load(self, ptx=None, bitcode=None):
        module = ctypes.c_void_p()
        if self.is_emulated:
            result = self.cuda.vlmc_emulated_load(
                ctypes.byref(module), ctypes.c_char_p(bitcode), ctypes.c_size_t(len(bitcode))
            )
        else:
            result = self.cuda.cuModuleLoadData(ctypes.byref(module), ctypes.c_char_p(ptx + b"\0"))
        self.check(result, "loading code")
        return module

    def unload(self, module):
        self.cuda.cuModuleUnload(module)

    def function(self, module, name, shared=0):
        made = ctypes.c_void_p()
        self.check(
            self.cuda.cuModuleGetFunction(ctypes.byref(made), module, name.encode()),
            f"looking up '{name}'",
        )
        if shared > 48 << 10:
            self.check(
                self.cuda.cuFuncSetAttribute(made, 8, shared),
                f"asking for {shared} bytes of shared memory",
            )
        return made

    def tensor_map(self, address, columns, rows, stride, box, is_brain):
        """The 128 bytes for tiles of a matrix of 16 bits, 128-byte swizzle."""
        around = ctypes.create_string_buffer(192)
        begin = ctypes.addressof(around)
        aligned = (begin + 63) // 64 * 64
        u64, u32 = ctypes.c_uint64, ctypes.c_uint32
        self.check(
            self.cuda.cuTensorMapEncodeTiled(
                ctypes.c_void_p(aligned),
                9 if is_brain else 6,
                2,
                u64(address),
                (u64 * 2)(columns, rows),
                (u64 * 1)(stride * 2),
                (u32 * 2)(*box),
                (u32 * 2)(1, 1),
                0,
                3,
                2,
                0,
            ),
            "making a tensor map",
        )
        return around, aligned

    def launch(self, function, grid, threads, shared, arguments):
        """Arguments are integers (64 bits), or what tensor_map gave."""
        values, pointers = [], []
        for argument in arguments:
            if isinstance(argument, tuple):
                pointers.append(argument[1])
            else:
                values.append(ctypes.c_int64(argument))
                pointers.append(ctypes.addressof(values[-1]))
        table = (ctypes.c_void_p * len(pointers))(*pointers)
        self.check(
            self.cuda.cuLaunchKernel(
                function, *grid, threads, 1, 1, shared, self.stream, table, None
            ),
            "launching",
        )

    def wait(self):
        self.check(self.cuda.cuStreamSynchronize(self.stream), "running")

    def record(self, work):
        """A graph of what `work` puts on the stream."""
        graph, made = ctypes.c_void_p(), ctypes.c_void_p()
        self.check(self.cuda.cuStreamBeginCapture_v2(self.stream, 1), "recording a graph")
        work()
        self.check(
            self.cuda.cuStreamEndCapture(self.stream, ctypes.byref(graph)), "recording a graph"
        )
        self.check(
            self.cuda.cuGraphInstantiateWithFlags(ctypes.byref(made), graph, ctypes.c_ulonglong(0)),
            "making a graph",
        )
        return made

    def launch_graph(self, graph):
        self.check(self.cuda.cuGraphLaunch(graph, self.stream), "launching a graph")

    def time(self, work, repeats):
        """Seconds of one of `repeats`, after one that does not count."""
        work()
        self.wait()
        begin = time.perf_counter()
        for _ in range(repeats):
            work()
        self.wait()
        return (time.perf_counter() - begin) / repeats
