"""`elenchus tokenize` on GGUF vocabularies against llama.cpp, which the wheel xllamacpp holds as one shared library."""
import ctypes
import os
import pathlib
import tarfile
import zipfile

import compare_text
from compare_tokenizers import texts_of
from elenchus_tokenize import differences, report, tokenize
from text_samples import Samples


class ModelParams(ctypes.Structure):
    """llama_model_params of the release below."""
    _fields_ = [(name, ctypes.c_void_p) for name in ("devices", "overrides")] + [
        (name, ctypes.c_int32) for name in ("n_gpu_layers", "split_mode", "load_mode", "lazy_mode", "main_gpu")] + [
        (name, ctypes.c_void_p) for name in ("tensor_split", "progress", "progress_data", "kv_overrides")] + [
        (name, ctypes.c_bool) for name in ("vocab_only", "check_tensors", "use_extra_bufts", "no_host", "no_alloc", "load_mtp")]


class LlamaCpp:
    RELEASE = "xllamacpp==2026.10.11549"

    def __init__(self, packages):
        wheel = compare_text.download(packages, self.RELEASE)
        folder = packages / "xllamacpp"
        if not folder.exists():
            zipfile.ZipFile(wheel).extractall(folder)
        self.lib = ctypes.CDLL(str(folder / "xllamacpp" / "xllamacpp.abi3.so"), mode=os.RTLD_LAZY)
        self.lib.llama_model_default_params.restype = ModelParams
        self.lib.llama_model_load_from_file.argtypes = [ctypes.c_char_p, ModelParams]
        for name in ("llama_model_load_from_file", "llama_model_get_vocab"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.lib.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
        self.lib.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32), ctypes.c_int32,
                                            ctypes.c_bool, ctypes.c_bool]
        self.lib.llama_vocab_get_text.argtypes = [ctypes.c_void_p, ctypes.c_int32]
        self.lib.llama_vocab_get_text.restype = ctypes.c_char_p
        self.lib.llama_vocab_n_tokens.argtypes = self.lib.llama_vocab_get_add_bos.argtypes = [ctypes.c_void_p]
        self.lib.llama_vocab_is_control.argtypes = [ctypes.c_void_p, ctypes.c_int32]
        self.lib.llama_vocab_is_control.restype = ctypes.c_bool
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        self.lib.llama_log_set(self.quiet, None)
        self.lib.llama_backend_init()

    def vocabulary(self, path):
        params = self.lib.llama_model_default_params()
        params.vocab_only, params.n_gpu_layers = True, 0
        model = self.lib.llama_model_load_from_file(str(path).encode(), params)
        return self.lib.llama_model_get_vocab(model) if model else None

    def special(self, vocabulary):
        n = self.lib.llama_vocab_n_tokens(vocabulary)
        return [self.lib.llama_vocab_get_text(vocabulary, i).decode() for i in range(n) if self.lib.llama_vocab_is_control(vocabulary, i)]

    def tokenize(self, vocabulary, text, ends):
        data = text.encode()
        room = len(data) + 16
        ids = (ctypes.c_int32 * room)()
        n = self.lib.llama_tokenize(vocabulary, data, len(data), ids, room, ends, True)
        if n < 0:
            raise SystemExit(f"llama.cpp wants room for {-n} tokens of {len(data)} bytes")
        return list(ids[:n])


def vocabularies(packages):
    """llama.cpp's own test vocabularies, and the models that are at hand."""
    source = compare_text.download(packages, "llama-cpp-python==0.3.36", "--no-binary", "llama-cpp-python")
    folder = packages / "vocabularies"
    folder.mkdir(exist_ok=True)
    with tarfile.open(source) as files:
        for file in files:
            name = pathlib.PurePath(file.name)
            if name.match("llama.cpp/models/ggml-vocab-*.gguf") and not (folder / name.name).exists():
                (folder / name.name).write_bytes(files.extractfile(file).read())
    return sorted(folder.glob("*.gguf")) + sorted((compare_text.ROOT / "models").glob("*.gguf"))


def run(options):
    llama_cpp = LlamaCpp(options.packages)
    strings = Samples(1, corpus=texts_of(options.shared)).strings(options.strings)
    strings = [s for s in strings if "\0" not in s]  # llama.cpp's special tokens end there
    failed = 0
    for path in vocabularies(options.packages):
        if options.only not in path.name:
            continue
        vocabulary = llama_cpp.vocabulary(path)
        try:
            tokenize(options.build, path, [""])
        except Exception:
            print(f"{path.name}: not supported, see the error above")
            continue
        own = Samples(2, llama_cpp.special(vocabulary)[:200])
        cases = strings + list(dict.fromkeys(own.one() + own.with_special() + own.one() for _ in range(len(strings) // 10)))
        cases = [s for s in cases if "\0" not in s]
        counts = {}
        for kind, flags, ends in [("with ends", [], True), ("without", ["--no-special"], False)]:
            given = cases if ends else cases[::4]
            wanted = [llama_cpp.tokenize(vocabulary, s, ends) for s in given]
            counts["ids " + kind] = (len(given), differences(path.name, given, tokenize(options.build, path, given, *flags), wanted))
        failed += report(path.name, counts)
    return failed
