"""Autocast's rules for CUDA, which do nothing on `meta`: which operations run in 16 bits, and the cache of cast weights.

The lists are those of the page "Automatic Mixed Precision package" of PyTorch's documentation.
"""

import torch
from torch.utils._pytree import tree_map_only

_T, _F = torch.Tensor, torch.nn.functional


def _members(owner, names):
    return [getattr(owner, name) for name in names.split() if hasattr(owner, name)]


LOWER = {
    *_members(torch, "addbmm addmm addmv addr baddbmm bmm chain_matmul matmul mm mv einsum prelu"),
    *_members(torch, "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution"),
    *_members(_T, "__matmul__ __rmatmul__ addbmm addmm addmv addr baddbmm bmm matmul mm mv prelu"),
    *_members(_F, "linear bilinear prelu conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"),
    *_members(torch, "lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell"),
}
FLOAT32 = {
    *_members(torch, "acos asin cosh erfinv exp expm1 log log10 log2 log1p pow reciprocal rsqrt sinh tan"),
    *_members(torch, "cosine_embedding_loss cosine_similarity cumprod cumsum dist norm prod renorm sum logsumexp"),
    *_members(torch, "hinge_embedding_loss kl_div margin_ranking_loss poisson_nll_loss triplet_margin_loss"),
    *_members(torch, "layer_norm group_norm rms_norm cdist"),
    *_members(_T, "acos asin cosh erfinv exp expm1 log log10 log2 log1p pow __pow__ __rpow__ reciprocal rsqrt sinh"),
    *_members(_T, "cumprod cumsum dist norm prod renorm sum logsumexp tan"),
    *_members(_F, "layer_norm group_norm rms_norm cross_entropy nll_loss mse_loss l1_loss smooth_l1_loss kl_div"),
    *_members(_F, "binary_cross_entropy_with_logits cosine_embedding_loss cosine_similarity gelu_ softplus softmin"),
    *_members(_F, "gaussian_nll_loss huber_loss margin_ranking_loss multi_margin_loss poisson_nll_loss normalize"),
    *_members(_F, "multilabel_margin_loss soft_margin_loss triplet_margin_loss hinge_embedding_loss"),
}
WIDEST = {
    *_members(torch, "addcdiv addcmul atan2 bilinear cross dot grid_sampler index_put scatter_add tensordot cat stack"),
    *_members(_T, "addcdiv addcmul atan2 cross dot index_put scatter_add"),
}
_SIXTEEN = (torch.float16, torch.bfloat16)


class Casts:
    """Casts arguments as autocast does; a cast of a float32 leaf is kept until the outermost autocast ends."""

    def __init__(self):
        self._cache = {}

    def apply(self, func, args, kwargs):
        """The arguments that `func` would get; call it only where autocast is on."""
        if func in LOWER:
            cast = self._lower
        elif func in FLOAT32:
            cast = _float32
        elif func in WIDEST:
            cast = _widest(args)
        else:
            return args, kwargs
        return tree_map_only(_T, cast, args), tree_map_only(_T, cast, kwargs)

    def clear(self):
        """Drop the cast weights, as autocast does at its end."""
        self._cache.clear()

    def _lower(self, tensor):
        dtype = torch.get_autocast_dtype("cuda")
        if tensor.dtype == dtype or not _eligible(tensor):
            return tensor
        weight = tensor.dtype == torch.float32 and tensor.requires_grad and tensor.is_leaf and not tensor._is_view()
        if not (weight and torch.is_autocast_cache_enabled() and torch.is_grad_enabled()):
            return tensor.to(dtype)
        if id(tensor) not in self._cache:
            self._cache[id(tensor)] = (tensor, tensor.to(dtype))
        return self._cache[id(tensor)][1]


def _eligible(tensor):
    return tensor.device.type == "meta" and tensor.is_floating_point() and tensor.dtype != torch.float64


def _float32(tensor):
    return tensor.float() if _eligible(tensor) and tensor.dtype in _SIXTEEN else tensor


def _widest(args):
    found = [one for one in torch.utils._pytree.tree_leaves(args) if isinstance(one, _T) and _eligible(one)]
    if not any(one.dtype == torch.float32 for one in found):
        return lambda tensor: tensor
    return _float32
