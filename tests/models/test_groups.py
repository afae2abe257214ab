import pytest

from jaxflow.models.groups import TOGETHER, groups_of


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("most", [1, 3, TOGETHER])
@pytest.mark.parametrize("lengths", [[], [4], [3] * 50, [5, 2, 5, 9, 2, 2, 5, 7], list(range(20, 0, -1))])
def test_every_text_is_in_one_group_of_bounded_size(lengths, most, alike):
    groups = list(groups_of(lengths, most=most, alike=alike))
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    assert all(1 <= len(group) <= most for group in groups)
    # The shortest first, so that texts of a group are of like length.
    in_order = [lengths[place] for group in groups for place in group]
    assert in_order == sorted(lengths)
    if alike:
        assert all(len({lengths[place] for place in group}) == 1 for group in groups)
        # No group more than there must be.
        assert len(groups) == sum(-(-lengths.count(length) // most) for length in set(lengths))
    else:
        assert len(groups) == -(-len(lengths) // most)
