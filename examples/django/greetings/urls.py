"""One page."""

from django.http import HttpRequest, JsonResponse
from django.urls import path

from greetings.models import Greeting


def greet(request: HttpRequest) -> JsonResponse:
    return JsonResponse(list(Greeting.objects.order_by("text").values_list("text", flat=True)), safe=False)


urlpatterns = [path("", greet)]
