"""What several tasks share: scores, boxes, non-maximum suppression, class names."""
