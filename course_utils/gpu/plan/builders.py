"""A `Request` becomes a `Traced`: the model's own step on `meta`, by the builder for its kind of model."""


def traced(request, preset, chip):
    """The `Traced` step of a request for that preset; raises CourseError where the two do not go together."""
    if preset.kind == "diffusion":
        from course_utils.gpu.plan import diffusion as builder
    elif preset.kind == "transformers":
        from course_utils.gpu.plan import language as builder
    else:
        from course_utils.gpu.plan import vision as builder
    return builder.traced(request, preset, chip)
