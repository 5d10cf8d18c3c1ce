"""inferd: TensorFlow Lite models as a service on Raspberry Pi and Coral class boards.

Importing this package loads nothing but the standard library. Read `pipeline.py` first.
"""

__version__ = "0.1.0"
