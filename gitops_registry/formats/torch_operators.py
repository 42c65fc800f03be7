"""Which operators a stored torch program may call: the reviewed list, and the refusal of everything beyond it.

A program of torch's is data until it calls an operator, and of these some write files (aten::save), read and create
them (aten::from_file), call other machines, build tensors over memory that is not theirs, or run what a library
registered. So the rule is an allow-list: arithmetic, shapes, layers and the containers between them, which see their
arguments only. A registry that needs another one names it in `trusted_types`.

Left out on purpose, for they read or write beyond tensors of shapes they do not expect (tried with torch 2.13): the bare
`native_batch_norm` and its kind, `_weight_norm`, `embedding_bag`, `_reshape_alias`, the bare attention kernels. What the
list cannot hold back is computing itself: a program may run for ever, fill the memory, or divide the process to death.
"""

from __future__ import annotations

from collections.abc import Iterable

from gitops_registry.formats.loaded import Unreviewed, shown

_ARITHMETIC = """
abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr angle arccos arccosh arcsin arcsinh arctan arctan2
arctanh asin asinh atan atan2 atanh baddbmm bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift
bitwise_xor bmm ceil clamp clamp_max clamp_min clip complex conj conj_physical copysign cos cosh cross cummax cummin cumprod
cumsum deg2rad diff digamma dist div divide dot einsum eq erf erfc erfinv exp exp2 expm1 fix float_power floor
floor_divide fmax fmin fmod frac ge greater greater_equal gt hypot imag inner inverse isclose isfinite isinf isnan
isneginf isposinf isreal kron ldexp le lerp less less_equal lgamma log log10 log1p log2 logaddexp logaddexp2
logcumsumexp logical_and logical_not logical_or logical_xor logit logsumexp lt matmul matrix_exp matrix_power maximum
minimum mm mul multiply mv nan_to_num ne neg negative not_equal outer polar positive pow prod rad2deg real reciprocal
remainder resolve_conj resolve_neg round rsqrt rsub sgn sigmoid sign signbit sin sinc sinh sqrt square sub subtract
tan tanh tensordot true_divide trunc vdot view_as_complex view_as_real xlogy
linalg_cross linalg_det linalg_inv linalg_matmul linalg_matrix_norm linalg_norm linalg_solve linalg_vecdot
linalg_vector_norm fft_fft fft_fft2 fft_fftn fft_ifft fft_ifft2 fft_ifftn fft_irfft fft_irfft2 fft_rfft fft_rfft2
special_erf special_erfc special_expit special_expm1 special_log1p special_logit special_logsumexp special_xlogy
"""
_REDUCTIONS = """
all allclose amax amin aminmax any argmax argmin argsort argwhere bincount bucketize count_nonzero cov equal histc
kthvalue max mean median min mode msort nanmean nanmedian nanquantile nansum nonzero norm quantile searchsorted sort std
std_mean sum topk trace trapezoid trapz unique_consecutive unique_dim _unique2 var var_mean cdist corrcoef
cosine_similarity pairwise_distance pdist frobenius_norm
"""
_SHAPES = """
adjoint alias atleast_1d atleast_2d atleast_3d block_diag broadcast_tensors broadcast_to cartesian_prod cat chunk clone
column_stack combinations concat concatenate contiguous copy copy_ diag diag_embed diagonal diagflat dsplit dstack
expand expand_as fill fill_ flatten flip fliplr flipud gather hsplit hstack im2col col2im index index_add index_copy
index_fill index_put index_select isin item lift_fresh lift_fresh_copy masked_fill masked_scatter masked_select
meshgrid moveaxis movedim narrow numel one_hot pad pad_sequence permute pixel_shuffle pixel_unshuffle channel_shuffle
ravel repeat repeat_interleave reshape reshape_as roll rot90 scatter scatter_add scatter_reduce select
select_scatter slice slice_scatter split split_with_sizes squeeze stack swapaxes swapdims t take take_along_dim
tensor_split tile to transpose tril triu type_as unbind unflatten unfold unsqueeze view view_as vsplit vstack where
zero zero_ T mT mH numpy_T detach detach_ unsafe_chunk unsafe_split unsafe_split_with_sizes _unsafe_view _to_copy
constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d
replication_pad3d _pad_circular _pad_enum tril_indices triu_indices sym_size sym_numel sym_stride sym_storage_offset
arange as_tensor eye full full_like linspace logspace new_full new_ones new_zeros ones ones_like scalar_tensor tensor
zeros zeros_like bernoulli multinomial normal rand rand_like randint randint_like randn randn_like randperm
"""
_LAYERS = """
_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d affine_grid_generator alpha_dropout avg_pool1d avg_pool2d
avg_pool3d batch_norm bilinear celu conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d
convolution _convolution _convolution_mode dropout elu embedding feature_alpha_dropout feature_dropout
gelu glu grid_sampler grid_sampler_2d group_norm gru gru_cell hardshrink hardsigmoid hardswish hardtanh instance_norm
layer_norm leaky_relu linear log_sigmoid log_softmax _log_softmax lstm lstm_cell max_pool1d max_pool1d_with_indices
max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices mish native_dropout
native_group_norm native_layer_norm prelu
_prelu_kernel relu relu6 rms_norm rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell rrelu scaled_dot_product_attention
_safe_softmax selu silu softmax _softmax softplus softshrink special_softmax
threshold upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d
upsample_nearest3d upsample_trilinear3d _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
_upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_lanczos2d_aa __interpolate __upsample __upsample_bilinear __upsample_nearest
_native_multi_head_attention _transformer_encoder_layer_fwd
_nested_tensor_from_mask _nested_tensor_from_mask_left_aligned to_padded_tensor
mse_loss l1_loss smooth_l1_loss
"""
_QUESTIONS = """
can_cast dim device dtype get_device is_complex is_contiguous is_floating_point is_nonzero is_same_size is_signed
is_grad_enabled is_autocast_enabled is_autocast_cpu_enabled is_scripting is_pinned is_sparse is_nested is_leaf
has_torch_function _get_tracing_state len layout promote_types result_type size stride storage_offset element_size
_shape_as_tensor _assert_scalar _assert_tensor_metadata sym_constrain_range sym_constrain_range_for_size
requires_grad is_cuda is_cpu is_mkldnn is_quantized is_meta is_xla is_mps is_xpu itemsize nbytes data warn
"""
_PYTHON = """
Bool Complex ComplexImplicit Float FloatImplicit Int IntImplicit ScalarImplicit __and__ __or__ __xor__ __not__ __is__
__isnot__ __contains__ __getitem__ __derive_index __range_length __round_to_zero_floordiv __lshift__ __rshift__ __iand__
__ior__ __ixor__ _set_item _unwrap_optional append extend insert pop clear reverse remove count index sorted dict list
keys values items get setdefault update popitem format percentFormat str ord chr hex oct bin join split rsplit strip
lstrip rstrip lower upper startswith endswith find rfind replace capitalize title isdigit isalpha hash divmod
mathremainder floordiv gcd factorial fabs degrees radians modf frexp gamma copysign broadcast_shapes cpu _infer_size
_list_to_tensor _tensor_to_list
"""
_PRIM = """
NumToTensor RaiseException TupleIndex TupleUnpack Uninitialized unchecked_cast unchecked_unwrap_optional abs min max
rangelist StringIndex IfThenElse data device dtype layout requires_grad is_cuda is_cpu is_mkldnn is_quantized is_sparse
is_nested is_meta is_xla is_mps itemsize nbytes type
"""

ATEN = frozenset(" ".join((_ARITHMETIC, _REDUCTIONS, _SHAPES, _LAYERS, _QUESTIONS, _PYTHON)).split())
"""Operators of `aten` that were reviewed. Of each, the variant that works in place (`relu_`) counts as reviewed, too."""
PRIM = frozenset(_PRIM.split())
"""Operators of `prim` that were reviewed: conversions, attributes of tensors, and raising an error."""


def is_reviewed(name: str, trusted: Iterable[str] = ()) -> bool:
    """Say whether an operator, such as `aten::relu_`, is in the list, or among those that the registry trusts."""
    space, _, operator = name.partition("::")
    if name in set(trusted):
        return True
    if space == "aten":
        return operator in ATEN or (operator.endswith("_") and not operator.endswith("__") and operator[:-1] in ATEN)
    return space == "prim" and operator in PRIM


def refusal(file: str, names: Iterable[str]) -> Unreviewed:
    """Return the error for a program that calls what nobody reviewed."""
    unknown = sorted({shown(name) for name in names})
    return Unreviewed(
        f"{file} calls what nobody has reviewed: {', '.join(unknown[:20])}{', …' if len(unknown) > 20 else ''}",
        hint="rewrite the module without it; or review it, add it to trusted_types in registry.yaml, and commit that",
    )
