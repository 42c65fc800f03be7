"""Lets MLServer answer with the ONNX file beside it, whose SHA-256 is compared before it is opened.

Written by `gitops-registry export --to openinference`, and needs neither that package nor the registry: onnxruntime and
numpy are enough. A request must bring the graph's own tensors; any other is answered with 400.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, RequestInput, ResponseOutput
from mlserver.utils import get_model_uri

DTYPES = {
    "BOOL": "bool", "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64", "UINT8": "uint8",
    "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip


class RegisteredModel(MLModel):
    """One version of a registered model."""

    async def load(self) -> bool:
        said = self.settings.parameters.extra
        data = Path(await get_model_uri(self.settings)).read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != said["sha256"]:
            raise ValueError(f"the file is not what was registered as {said['version']}: its SHA-256 is {found}")
        self._session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        self._inputs = {tensor.name: tensor for tensor in self.settings.inputs}
        self._outputs = [tensor.name for tensor in self.settings.outputs]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        given = {tensor.name: tensor for tensor in payload.inputs}
        wrong = sorted(set(given) ^ set(self._inputs))
        if wrong:
            raise InferenceError(f"the model takes the inputs {sorted(self._inputs)}; missing or unknown: {wrong}")
        feed = {name: self._array(tensor) for name, tensor in given.items()}
        try:
            found = self._session.run(self._outputs, feed)
        except Exception as error:  # onnxruntime's classes derive from Exception alone
            raise InferenceError(f"the model cannot answer: {error}") from error
        outputs = [self._told(name, values) for name, values in zip(self._outputs, found, strict=True)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)

    def _array(self, tensor: RequestInput) -> Any:
        """Return a tensor of a request as an array, its type and shape being those that the graph takes."""
        wanted = self._inputs[tensor.name]
        fits = len(tensor.shape) == len(wanted.shape) and all(
            own in (-1, size) for own, size in zip(wanted.shape, tensor.shape, strict=True)
        )
        if tensor.datatype != wanted.datatype or not fits:
            raise InferenceError(
                f"{tensor.name} must be {wanted.datatype} of shape {wanted.shape}, not {tensor.datatype} of {tensor.shape}"
            )
        try:
            if tensor.datatype == "BYTES":
                return numpy.asarray(StringCodec.decode_input(tensor), dtype=object).reshape(tensor.shape)
            return NumpyCodec.decode_input(tensor).astype(DTYPES[tensor.datatype]).reshape(tensor.shape)
        except (ValueError, TypeError) as error:
            raise InferenceError(f"{tensor.name} does not hold what it says: {error}") from error

    def _told(self, name: str, values: Any) -> ResponseOutput:
        """Return an answer with its own shape: MLServer's codec would make a column of a row of numbers."""
        array = numpy.asarray(values)
        data = [str(value) for value in array.ravel()] if array.dtype == object else array.ravel().tolist()
        datatype = next(tensor.datatype for tensor in self.settings.outputs if tensor.name == name)
        return ResponseOutput(name=name, datatype=datatype, shape=list(array.shape), data=data)
