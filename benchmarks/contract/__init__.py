"""The rows of the GPU contract: what each one builds, runs and times."""
