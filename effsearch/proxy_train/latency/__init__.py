"""How long networks and their blocks take, on torch and on onnxruntime."""
