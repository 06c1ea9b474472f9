"""The tasks by name."""

from collections.abc import Mapping
from types import MappingProxyType

from videoldm.tasks.config import TaskName
from videoldm.tasks.image_to_video import ImageToVideo
from videoldm.tasks.multi_view import MultiView
from videoldm.tasks.task import Task
from videoldm.tasks.text_to_image import TextToImage
from videoldm.tasks.text_to_video import TextToVideo

TASKS: Mapping[TaskName, Task] = MappingProxyType(
    {
        "text-to-image": TextToImage(),
        "text-to-video": TextToVideo(),
        "image-to-video": ImageToVideo(),
        "multi-view": MultiView(),
    }
)
