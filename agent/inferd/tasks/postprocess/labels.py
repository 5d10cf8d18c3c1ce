"""Names of classes."""

from __future__ import annotations

from inferd.wire.manifest import ModelDescription


class Labels:
    """Names for output indices; an index without a label is called by its number."""

    def __init__(self, description: ModelDescription) -> None:
        """Take labels and offset of a model.

        Args:
            description: `labels[index + label_offset]` names output `index`.
        """
        self._labels = description.labels
        self._offset = description.manifest.output.label_offset or 0

    def __getitem__(self, index: int) -> str:
        at = index + self._offset
        return (self._labels[at] if 0 <= at < len(self._labels) else "") or str(index)
