from effsearch.results.user_names import to_field_names, to_user_names


def test_fields_get_the_names_that_users_know_in_the_same_order() -> None:
    record = {"name": "b0", "parameters": 5, "val_accuracy": 0.5, "num_trials": 3, "multiply_adds": 1}
    assert list(to_user_names(record)) == ["name", "params", "accuracy", "trials", "multiply_adds"]


def test_field_names_come_back_from_user_names() -> None:
    record = {"parameters": 5, "val_loss": 1.0, "num_images": 10, "anything": {"parameters": 1}}
    assert to_field_names(to_user_names(record)) == record


def test_nested_mappings_are_left_alone() -> None:
    assert to_user_names({"spec": {"num_classes": 10}}) == {"spec": {"num_classes": 10}}
