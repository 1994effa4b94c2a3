"""A trained model as a folder that works without Linecall. Importing this loads no model library."""

from app.ml.portable.folder import EncoderFacts, PortableFile, portable_files, write_folder

__all__ = ["EncoderFacts", "PortableFile", "portable_files", "write_folder"]
